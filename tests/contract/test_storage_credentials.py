"""Credentials come from each cloud's usual places, and are told to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import StorageRefusedError, UsageError
from tests.object_servers import QUICK, SHORT, ObjectPlace, free_port, open_place, remote

__all__ = ["remote"]

KEYS = "[default]\naws_access_key_id = akey\naws_secret_access_key = asecret\n"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials anywhere, and nobody is asked who this machine is."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    nowhere = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{nowhere}")
    monkeypatch.setenv("GCE_METADATA_HOST", nowhere)
    monkeypatch.setenv("GCE_METADATA_TIMEOUT", "1")


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ObjectPlace:
    """A bucket on S3, before its credentials are taken away."""
    place = open_place("s3", request, monkeypatch, tmp_path)
    request.getfixturevalue("nobody")
    return place


async def test_no_credentials_are_a_sentence(
    remote: ObjectPlace, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("nobody")
    with pytest.raises(StorageRefusedError, match="no credentials"):
        await ArtifactStore(remote.url, patience=SHORT).read_named("runs/a/checkpoint.json")


async def test_the_default_profile_is_used(bucket: ObjectPlace, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(KEYS)
    store = ArtifactStore(bucket.url, patience=QUICK)
    assert await store.get(await store.put(b"mine")) == b"mine"


async def test_a_profile_is_used_by_its_name(
    bucket: ObjectPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(KEYS.replace("default", "other"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_PROFILE", "other")
    await ArtifactStore(bucket.url, patience=QUICK).check()
    monkeypatch.setenv("AWS_PROFILE", "third")
    with pytest.raises(UsageError, match="AWS_PROFILE is 'third'"):
        ArtifactStore(bucket.url)


def test_a_file_that_cannot_be_read_is_said_without_its_lines(
    bucket: ObjectPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text("aws_secret_access_key = asecret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    with pytest.raises(UsageError, match="cannot be read as an AWS file") as caught:
        ArtifactStore(bucket.url)
    assert "asecret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["host:9000", "https://user:asecret@host", "ftp://host"])
def test_an_endpoint_is_an_http_url_without_credentials(
    bucket: ObjectPlace, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL") as caught:
        ArtifactStore(bucket.url)
    assert "asecret" not in str(caught.value)
