"""The port of inputs: something with a size that is read by range and must not change meanwhile."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

from stope.errors import InputError
from stope.objects.address import file_name
from stope.objects.patience import Patience
from stope.sources.location import checked_url, is_remote, shown
from stope.sources.window import BLOCK, RangeFile

MOST_BYTES_OF_TEXT = 256 << 20
"""A text transcript is read whole; the words of a thousand hours take less."""


class RangeReader(Protocol):
    """Reads a remote object by range. Blocks; every call has a time-out and is tried again.

    ``size`` in bytes. ``version`` names the content that every read is of; '' where the other side
    gives nothing by which a change could be told.

    Raises:
        InputError: it is gone, denied, or was replaced since it was opened.
        StorageUnavailableError: it cannot be reached now.
    """

    size: int
    version: str

    def read(self, start: int, end: int) -> bytes:
        """Bytes ``[start, end)``, all of them."""

    def close(self) -> None:
        """Let go of connections."""


class Source:
    """An open input. Blocks, is used in threads, and reads nothing before it is asked to.

    Args:
        location: as it may be shown: a path, or a URL without its query.
        reader: for what is remote.
        path: for what is a file.
    """

    def __init__(
        self, location: str, *, reader: RangeReader | None = None, path: Path | None = None
    ) -> None:
        if (reader is None) == (path is None):
            raise ValueError("a source is a file or remote")
        self.location = location
        self.path = path
        self.reader = reader
        self._open: list[RangeFile] = []

    def __str__(self) -> str:
        return self.location

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes of its content."""
        if self.path is not None:
            return self.path.stat().st_size
        return self._remote.size

    @property
    def version(self) -> str:
        """What the other side calls this content; '' for a file, or where it says nothing."""
        return self._remote.version if self.path is None else ""

    @property
    def failure(self) -> Exception | None:
        """Why the last read failed, where a library in between has made another error of it."""
        return next((file.failure for file in self._open if file.failure is not None), None)

    def open(self) -> BinaryIO:
        """Its content as a file that can be read and sought; what is remote comes by range."""
        if self.path is not None:
            return self.path.open("rb")
        # What failed before is over, or the file would not be opened again.
        self._open = [file for file in self._open if file.failure is None]
        file = RangeFile(self._remote.read, self._remote.size, file_name(self.location))
        self._open.append(file)
        return cast("BinaryIO", file)

    def sha256(self) -> str:
        """SHA-256 of its content, read front to back; memory does not grow with it."""
        sha = hashlib.sha256()
        with self.open() as stream:
            while block := stream.read(BLOCK):
                sha.update(block)
        return sha.hexdigest()

    def read_all(self) -> bytes:
        """Its content at once, for texts.

        Raises:
            InputError: it is too large for one.
        """
        if self.size > MOST_BYTES_OF_TEXT:
            raise InputError(
                f"{self} has {self.size / 1e6:.0f} MB, which no text transcript has; give a text."
            )
        with self.open() as stream:
            return stream.read()

    def close(self) -> None:
        """Let go of connections."""
        if self.reader is not None:
            self.reader.close()

    @property
    def _remote(self) -> RangeReader:
        assert self.reader is not None  # noqa: S101  (a source is a file or remote)
        return self.reader


def open_source(location: str | Path, *, patience: Patience | None = None) -> Source:
    """Open an input. Something remote is asked for its size and version here.

    Args:
        location: a path, or an ``s3://``, ``gs://`` or ``https://`` URL (``http://`` of this
            machine only).
        patience: how often and how long a request is tried.

    Raises:
        UsageError: it is no URL that can be read.
        InputError: it is not there, or we may not read it.
        StorageUnavailableError: it cannot be reached now.
    """
    text = str(location)
    if isinstance(location, Path) or not is_remote(text):
        return Source(text, path=Path(text))
    parsed = checked_url(text)
    chosen = patience or Patience()
    reader: RangeReader
    if parsed.scheme in ("s3", "gs"):
        from stope.sources.objects import ObjectReader

        reader = ObjectReader(text, chosen)
    else:
        from stope.sources.web import WebReader

        reader = WebReader(text, chosen)
    return Source(shown(text), reader=reader)
