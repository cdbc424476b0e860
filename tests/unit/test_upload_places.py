"""Addresses: a place has one URL however it is named, and no secret gets into one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from stope.errors import DestinationRefusedError, UsageError
from stope.settings import Settings
from stope.upload.endpoint import HttpDestination
from stope.upload.folder import FolderDestination
from stope.upload.objects import ObjectDestination
from stope.upload.places import open_destination, place_url
from stope.upload.postgresql import PostgresDestination


def test_a_folder_has_one_url_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "to be" / "öpen"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    named = (
        *(str(folder), "to be/öpen", "./to be/../to be/öpen/", "link"),
        *(folder.as_uri(), f"{folder.as_uri()}/", folder.as_uri().replace("file://", "FILE:")),
    )
    assert {place_url(name) for name in named} == {folder.resolve().as_uri()}


def test_a_url_opens_its_folder(tmp_path: Path) -> None:
    destination = open_destination(place_url(str(tmp_path / "new")), Settings())
    assert isinstance(destination, FolderDestination)
    assert destination.folder == (tmp_path / "new").resolve()
    assert destination.url == place_url(str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("S3://bucket", "s3://bucket"),
        ("gs://bucket/x", "gs://bucket/x"),
        ("postgres://ann@DB.example/news", "postgresql://ann@db.example/news?schema=stope"),
        (
            "postgresql://ann:@db.example:5433/news?sslmode=require&schema=Talks",
            "postgresql://ann@db.example:5433/news?schema=Talks&sslmode=require",
        ),
        (
            "postgresql:///news?host=/run/postgresql",
            "postgresql:///news?host=/run/postgresql&schema=stope",
        ),
        ("https://Host.example/in/", "https://host.example/in"),
        ("https://host.example:8443", "https://host.example:8443"),
        ("http://127.0.0.1:8080/in", "http://127.0.0.1:8080/in"),
        ("http://[::1]:8080/in", "http://[::1]:8080/in"),
        ("insecure+http://host.example/in", "insecure+http://host.example/in"),
    ],
)
def test_other_places_have_one_url_too(named: str, url: str) -> None:
    assert place_url(named) == url
    assert place_url(url) == url


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql://ann:hush@host/news", "STOPE_UPLOAD_PASSWORD or PGPASSWORD"),
        ("postgresql://ann@host/news?password=hush", "STOPE_UPLOAD_PASSWORD or PGPASSWORD"),
        ("https://ann:hush@host/in", "STOPE_UPLOAD_HMAC_KEY"),
        ("https://hush@host/in", "STOPE_UPLOAD_HMAC_KEY"),
        ("https://host/in?token=hush", "STOPE_UPLOAD_HMAC_KEY"),
        ("https://host/in#hush", "STOPE_UPLOAD_HMAC_KEY"),
        ("s3://key:hush@bucket/x", "credentials"),
        ("ftp://ann:hush@host/x", "ftp:// addresses"),
        ("postgresql://ann:hush@[host/news", "no URL"),
        ("https://ann:hush\u2100@host/x", "no URL"),
    ],
)
def test_no_secret_gets_into_an_address_and_none_is_repeated(place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        place_url(place)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://host.example/in", r"insecure\+http://"),
        ("http://127.evil.example/in", r"insecure\+http://"),
        ("https:///in", "names no host"),
        ("https://host:port/in", "no URL"),
        ("https://host/a\nb", "characters that no URL has"),
        ("postgresql://ann@host", "names no database"),
        ("postgresql://ann@host/a/b", "names no database"),
        ("postgresql:///news", "names no host"),
        ("postgresql://host/news?schema=pg_mine", "cannot be one"),
        ('postgresql://host/news?schema=a"b', "cannot be one"),
        ("postgresql://host/news?schema=a%0A", "cannot be one"),
        ("postgresql://host/news?schema=", "cannot be one"),
        ("postgresql://host/news?options=-c%20x", "not known .options."),
        ("postgresql://host/news?schema=a&schema=b", "one of them twice"),
        ("postgresql://host/news?sslmode=perhaps", "verify-full"),
        ("postgresql://ann@host/news?host=/run/postgresql", "no other host stands beside it"),
        ("postgresql:///news?host=evil.example", "folder of a socket on this machine"),
        ("s3://", "names no bucket"),
        ("memory://", "memory:// addresses"),
    ],
)
def test_what_cannot_be_published_at_is_said_with_how_to_mend_it(place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        place_url(place)


@pytest.mark.parametrize("place", ["", "  ", "ftp://host/x", "nosuch:x"])
def test_what_is_supported_is_told(place: str) -> None:
    with pytest.raises(UsageError, match=r"a folder .*s3://.*gs://.*postgresql://.*https://"):
        place_url(place)


@pytest.mark.parametrize("place", ["", "  ", "file://host/x", "file:x", "file:///x?y", "a\0b"])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(UsageError):
        place_url(place)


@pytest.mark.parametrize("key", [None, "too short"])
def test_nothing_is_sent_without_a_key(key: str | None) -> None:
    settings = Settings(upload_hmac_key=SecretStr(key) if key else None)
    with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_HMAC_KEY") as caught:
        open_destination("https://host.example/in", settings)
    assert "too short" not in str(caught.value)


async def test_each_place_opens_as_what_it_is() -> None:
    settings = Settings(
        upload_hmac_key=SecretStr("a key that nobody guesses"),
        upload_password=SecretStr("hush"),
        upload_hosts="host",
    )
    kinds = {
        "s3://bucket/x": ObjectDestination,
        "postgresql://ann@host/news?schema=stope": PostgresDestination,
        "https://host.example/in": HttpDestination,
        "insecure+http://host.example/in": HttpDestination,
    }
    for url, kind in kinds.items():
        destination = open_destination(url, settings)
        assert isinstance(destination, kind)
        assert destination.url == url
        await destination.close()
