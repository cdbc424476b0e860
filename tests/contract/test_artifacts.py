"""Artifacts: bytes are found by their digest, whole and as they were, or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import obstore
import pytest

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, UsageError
from stope.identity import digest_bytes, digest_file
from stope.models.gap import Gap

DATA = b"what was said \x00\xff"
ABSENT = "0" * 64


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path.as_uri() if request.param == "folder" else "memory://")


async def replace_bytes(store: ArtifactStore, digest: str, data: bytes) -> None:
    """Damage an object behind the store's back."""
    await obstore.put_async(store._store, store._path(digest), data)


@pytest.mark.parametrize("data", [b"", DATA, b"x" * 3_000_000], ids=["empty", "small", "large"])
async def test_bytes_come_back_as_they_were(store: ArtifactStore, data: bytes) -> None:
    digest = await store.put(data)
    assert digest == digest_bytes(data)
    assert await store.get(digest) == data


async def test_the_same_bytes_are_one_object(store: ArtifactStore) -> None:
    digests = [await store.put(DATA), await store.put(DATA), await store.put(b"other")]
    digests += await asyncio.gather(*(store.put(DATA) for _ in range(4)))
    listed = [item["path"] for batch in obstore.list(store._store) for item in batch]
    assert len(set(digests)) == len(listed) == 2


async def test_damaged_bytes_are_never_given_out_and_storing_them_again_mends_them(
    store: ArtifactStore,
) -> None:
    digest = await store.put(DATA)
    for damaged in (DATA[:-1], DATA + b"!", b""):
        await replace_bytes(store, digest, damaged)
        with pytest.raises(ArtifactError, match=f"{digest} is damaged"):
            await store.get(digest)
    await store.put(DATA)
    assert await store.get(digest) == DATA


async def test_an_absent_artifact_is_named_with_the_way_to_make_it_anew(
    store: ArtifactStore,
) -> None:
    with pytest.raises(ArtifactError, match=f"{ABSENT} is gone; run the job again with --force"):
        await store.get(ABSENT)


async def test_a_model_comes_back_as_it_was(store: ArtifactStore) -> None:
    gap = Gap(stage="mine", unit_id="seg_0001", reason="ünï", start=1.5)
    assert await store.get_model(await store.put_model(gap), Gap) == gap


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b'{"stage":"mine","more":1}'])
async def test_bytes_that_are_no_such_model_are_an_error(store: ArtifactStore, body: bytes) -> None:
    digest = await store.put(body)
    with pytest.raises(ArtifactError, match=f"{digest} is not a Gap of this version"):
        await store.get_model(digest, Gap)


@pytest.mark.parametrize("url", ["s3://bucket", "https://host/x", "/var/artifacts", ""])
def test_another_scheme_is_refused_with_those_that_are_supported(url: str) -> None:
    with pytest.raises(UsageError, match="only file:///folder and memory:// are supported"):
        ArtifactStore(url)


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        ArtifactStore((tmp_path / "file" / "artifacts").as_uri())


async def test_another_store_on_the_same_folder_reads_the_same(tmp_path: Path) -> None:
    digest = await ArtifactStore(tmp_path.as_uri()).put(DATA)
    assert await ArtifactStore(f"{tmp_path.as_uri()}/").get(digest) == DATA


async def test_a_uri_names_the_file_also_where_the_folder_has_a_strange_name(
    tmp_path: Path,
) -> None:
    store = ArtifactStore((tmp_path / "my talks, 100% ünï").as_uri())
    digest = await store.put(DATA)
    found = Path(url2pathname(urlparse(store.uri(digest)).path))
    assert found.is_relative_to(tmp_path / "my talks, 100% ünï")
    assert digest_file(found) == digest


async def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.as_uri())
    (tmp_path / "sha256").touch()
    with pytest.raises(ArtifactError):
        await store.put(DATA)
    with pytest.raises(ArtifactError):
        await store.get(ABSENT)


def test_a_uri_in_memory_keeps_its_scheme() -> None:
    assert ArtifactStore("memory://").uri(ABSENT).startswith("memory://")


def test_a_file_url_of_another_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ArtifactStore(f"file://elsewhere{tmp_path}/artifacts")
