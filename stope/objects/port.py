"""The port of object stores: what a folder, memory, S3 and Google Cloud Storage all can do.

Drivers block, do not retry, and raise nothing but the tree in ``stope.errors``. What they say names
the place, never a credential: what a server answers may repeat keys and signatures, so that only
its status and its error's code are quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

PART = 8 << 20
"""Bytes of one request for an object's content, in either direction. Larger objects take several,
so that every request ends within its time-out, and memory does not grow with the object."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object as it lies in a store.

    ``path`` is relative to the store's URL, ``size`` in bytes, ``modified`` in UTC. ``version``
    changes whenever the object is replaced by other content; it is opaque.
    """

    path: str
    size: int
    version: str
    modified: datetime


@dataclass(frozen=True)
class Piece:
    """Bytes of an object, and what they are of."""

    data: bytes
    info: ObjectInfo


class Readable(Protocol):
    """What bytes are read from, front to back."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes, all there are for -1; b'' at the end."""


class RawStore(Protocol):
    """Whole objects under one URL. Everything blocks and is safe to call from several threads.

    Raises:
        StorageUnavailableError: it cannot be reached, fails, or took too long.
        StorageRefusedError: it does not let us, or there is no such bucket.
        StorageFullError: there is no room.
    """

    url: str
    folder: Path | None

    def put(
        self, path: str, data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        """Publish bytes whole.

        With ``only_new``: False, and nothing done, where there are some. With ``replacing``: the
        same where what is there is not of this version, or nothing is.
        """

    def put_stream(self, path: str, stream: Readable, size: int) -> None:
        """Publish what a stream gives, in parts; whole, or nothing where reading it raises.

        Args:
            path: where to.
            stream: read once, front to back.
            size: bytes that it gives at most.
        """

    def get(self, path: str, start: int, end: int, *, version: str | None = None) -> Piece:
        """Bytes ``[start, end)``, fewer where the object ends before.

        Raises:
            ObjectMissingError: there is no such object.
            ObjectChangedError: it is not the version that was asked for.
        """

    def head(self, path: str) -> ObjectInfo | None:
        """What is known of an object; None where there truly is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below a prefix of whole segments ('' is all), in no order."""

    def delete(self, path: str, *, only: str | None = None) -> bool:
        """Delete an object; that there is none is fine.

        With ``only``: False, and nothing done, where another version is there. S3 compares and
        deletes in two requests.
        """
