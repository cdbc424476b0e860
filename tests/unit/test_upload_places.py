"""Addresses: a folder has one URL however it is named; what is not supported is said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from stope.errors import UsageError
from stope.upload.folder import FolderDestination
from stope.upload.places import open_destination, place_url


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
    destination = open_destination(place_url(str(tmp_path / "new")))
    assert isinstance(destination, FolderDestination)
    assert destination.folder == (tmp_path / "new").resolve()
    assert destination.url == place_url(str(tmp_path / "new"))


@pytest.mark.parametrize("place", ["s3://bucket/x", "gs://bucket", "https://u:secret@host/x"])
def test_another_scheme_is_refused_with_what_is_supported(place: str) -> None:
    with pytest.raises(UsageError, match="a folder, as a path or as file:///folder") as caught:
        place_url(place)
    assert "secret" not in str(caught.value)
    assert f"{place.split(':')[0]}://" in str(caught.value)


@pytest.mark.parametrize("place", ["", "  ", "file://host/x", "file:x", "file:///x?y", "a\0b"])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(UsageError):
        place_url(place)
