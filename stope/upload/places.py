"""Which destination an address names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from stope.errors import UsageError
from stope.upload.destination import Destination
from stope.upload.folder import FolderDestination

SUPPORTED = "a folder, as a path or as file:///folder"

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")


def place_url(place: str) -> str:
    """The one URL of a place that a person named: part of the upload's id.

    A path is taken from the current folder, and links are followed.

    Raises:
        UsageError: it is no place that this version can publish at.
    """
    if not place.strip():
        raise UsageError(f"An upload needs a destination: {SUPPORTED}.")
    try:
        return _folder_of(place).expanduser().resolve().as_uri()
    except (OSError, RuntimeError, ValueError, UnicodeError) as error:
        raise UsageError(
            f"The destination {place!r} cannot be a folder here: {error}; name {SUPPORTED}."
        ) from error


def open_destination(url: str) -> Destination:
    """The destination at a URL that ``place_url`` gave.

    Raises:
        UsageError: it is no place that this version can publish at.
    """
    return FolderDestination(_folder_of(url))


def _folder_of(place: str) -> Path:
    if not _SCHEME.match(place):
        return Path(place)
    parts = urlsplit(place)
    if parts.scheme.lower() != "file":
        # Not the whole address: it may carry a secret.
        raise UsageError(
            f"Nothing can be uploaded to {parts.scheme}:// addresses by this version; name "
            f"{SUPPORTED}."
        )
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(
            f"{place!r} names a folder of another host; write file:///folder, with three slashes."
        )
    if parts.query or parts.fragment:
        raise UsageError(f"{place!r} is no folder: write ? as %3F and # as %23.")
    return Path(url2pathname(parts.path))
