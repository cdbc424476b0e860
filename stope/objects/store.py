"""An object store for callers: names that are checked, calls that are tried again, no waiting.

The drivers block, so that every call runs in a thread of its own pool: a store that hangs must not
hold up decoding or the records, whose threads are others.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from stope.errors import ObjectMissingError, StorageRefusedError
from stope.objects import faults
from stope.objects.address import checked_name
from stope.objects.folder import StoreFolder
from stope.objects.patience import Patience
from stope.objects.port import PART, ObjectInfo, Piece, RawStore, Readable
from stope.published import published

__all__ = ["ObjectInfo", "ObjectStore"]

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")

Ready = Callable[[], Awaitable[None]]

_THREADS = 16
_POOL = ThreadPoolExecutor(_THREADS, thread_name_prefix="stope-objects")

CHECK_NAME = "stope-check"
"""Objects below this name are written by a check of the store, and deleted by it."""


async def in_thread(do: Callable[[], ResultT]) -> ResultT:
    """What a blocking call gives, made in the stores' own threads."""
    return await asyncio.wrap_future(begun(do))


def begun(do: Callable[[], ResultT]) -> Future[ResultT]:
    """``in_thread`` for whoever may stop waiting for it, and ask for it again."""
    return _POOL.submit(do)


def for_each(do: Callable[[ItemT], None], items: Iterable[ItemT]) -> None:
    """Do something blocking with every item, several at once. Blocks.

    When it returns or raises, nothing of it goes on any more: what had not begun is left undone.
    Its threads are its own, so that it waits for nobody else's calls.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="stope-each") as pool:
        for _ in pool.map(do, items):
            pass


class ObjectStore:
    """Bytes under names, below one URL. Every method says the same in every kind of store.

    Args:
        raw: the driver.
        patience: how often and how long a call is tried.
        place: the folder of a local one.

    Attributes:
        ready: waited for before every call, where it is set: it sees whether the place is ours.

    Raises:
        UsageError: a name does not stay below the URL.
        StorageUnavailableError: the store is away or too slow, also after some attempts.
        StorageRefusedError: it does not let us, or there is no such bucket.
        StorageFullError: there is no room.
    """

    def __init__(self, raw: RawStore, patience: Patience, place: StoreFolder | None = None) -> None:
        self.raw = raw
        self.patience = patience
        self.place = place
        self.ready: Ready | None = None

    @property
    def url(self) -> str:
        """Where it is; holds no credentials."""
        return self.raw.url

    @property
    def folder(self) -> Path | None:
        """The folder of a local store."""
        return self.raw.folder

    async def do(self, call: Callable[[], ResultT]) -> ResultT:
        """What a blocking call gives, made in a thread, when the place is known to be ours."""
        if self.ready is not None:
            await self.ready()
        return await in_thread(call)

    def uri(self, path: str) -> str:
        """Where an object lives, for people."""
        return f"{self.url}{'' if self.url.endswith('://') else '/'}{path}"

    async def put(self, path: str, data: bytes, *, only_new: bool = False) -> bool:
        """Publish bytes whole; whoever reads at the same time finds the old ones or these.

        With ``only_new`` an object that is there is left alone, and the answer is False. It may be
        ours: when an answer is lost, what it answered is asked again.
        """
        checked_name(path)
        return await self.do(
            lambda: self.patience.call(lambda: self.raw.put(path, data, only_new=only_new))
        )

    async def put_file(
        self,
        path: str,
        file: Path,
        *,
        only_new: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """``put`` for a file of any size, in parts. A part that was sent is never seen alone.

        A large file with ``only_new`` is looked for first; two that begin at once both send.
        ``stopped`` is asked in a thread before every part: where it says so, the answer is False,
        and there is nothing.

        Raises:
            OSError: the file cannot be read.
        """
        checked_name(path)

        def send() -> bool:
            if stopped():
                return False
            with file.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size <= PART:
                    return self.raw.put(path, stream.read(), only_new=only_new)
                if only_new and self.raw.head(path) is not None:
                    return False
                try:
                    self.raw.put_stream(path, _Stoppable(stream, stopped), size)
                except _SendingStoppedError:
                    return False
                return True

        return await self.do(lambda: self.patience.call(send))

    async def get(self, path: str) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectMissingError: there is none.
            ObjectChangedError: it was replaced while it was read.
        """
        checked_name(path)
        return await self.do(lambda: b"".join(piece.data for piece in self.pieces(path)))

    async def get_range(
        self, path: str, start: int, end: int, *, version: str | None = None
    ) -> bytes:
        """Bytes ``[start, end)`` of an object, fewer where it ends before.

        Raises:
            ObjectMissingError: there is none.
            ObjectChangedError: it is not the version that was asked for.
        """
        checked_name(path)
        return await self.do(lambda: self.piece(path, start, end, version).data)

    async def get_to_file(self, path: str, file: Path) -> None:
        """Stream an object into a file, which gets its name when it is whole.

        Raises:
            ObjectMissingError: there is no such object.
            ObjectChangedError: it was replaced while it was read.
            StorageFullError: the file's disk has no room.
        """
        checked_name(path)

        def receive() -> None:
            with published(file) as stream:
                for piece in self.pieces(path):
                    stream.write(piece.data)

        await self.do(receive)

    async def head(self, path: str) -> ObjectInfo | None:
        """What is known of an object; None only where there truly is none."""
        checked_name(path)
        return await self.do(lambda: self.patience.call(lambda: self.raw.head(path)))

    async def digest(self, path: str) -> str:
        """SHA-256 of an object's content, read in parts.

        Raises:
            ObjectMissingError: there is no such object.
        """
        checked_name(path)

        def read() -> str:
            sha = hashlib.sha256()
            for piece in self.pieces(path):
                sha.update(piece.data)
            return sha.hexdigest()

        return await self.do(read)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object below a prefix of whole segments, in the order of their names."""
        if prefix:
            checked_name(prefix)
        found = await self.do(lambda: self.patience.call(lambda: list_of(self.raw, prefix)))
        for info in found:
            yield info

    async def delete(self, path: str) -> None:
        """Delete an object; that there is none is fine."""
        checked_name(path)
        await self.do(lambda: self.patience.call(lambda: self.raw.delete(path)))

    async def check(self) -> None:
        """Write, read back and delete an object.

        Raises:
            StorageRefusedError: one of these is not allowed, or does not give back what was put.
        """
        path, data = f"{CHECK_NAME}/{uuid4().hex}", b"stope"
        await self.put(path, data)
        try:
            found = await self.get(path)
        except ObjectMissingError:
            found = b""
        finally:
            await self.delete(path)
        if found != data:
            raise StorageRefusedError(
                f"{self.url} does not give back what is stored there; check what is behind it."
            )

    def piece(self, path: str, start: int, end: int, version: str | None = None) -> Piece:
        """``RawStore.get``, tried again; any length. Blocks."""
        if start >= end:
            found = self.patience.call(lambda: self.raw.head(path))
            if found is None:
                raise faults.missing(self.url, path)
            return Piece(b"", found)
        first = self._part(path, start, min(end, start + PART), version)
        if len(first.data) < PART or end <= start + PART:
            return first
        parts, at = [first.data], start + PART
        while at < min(end, first.info.size):
            parts.append(self._part(path, at, min(end, at + PART), first.info.version).data)
            at += PART
        return Piece(b"".join(parts), first.info)

    def pieces(self, path: str) -> Iterator[Piece]:
        """A whole object, part after part, all of one version. Blocks."""
        piece = self._part(path, 0, PART, None)
        yield piece
        for at in range(PART, piece.info.size, PART):
            yield self._part(path, at, at + PART, piece.info.version)

    def _part(self, path: str, start: int, end: int, version: str | None) -> Piece:
        return self.patience.call(lambda: part_of(self.raw, path, start, end, version))


class _SendingStoppedError(Exception):
    """Whoever sends does not want to any more."""


class _Stoppable:
    """A stream that raises instead of giving more, once it is stopped."""

    def __init__(self, stream: Readable, stopped: Callable[[], bool]) -> None:
        self._stream = stream
        self._stopped = stopped

    def read(self, size: int = -1, /) -> bytes:
        """See ``Readable``."""
        if self._stopped():
            raise _SendingStoppedError
        return self._stream.read(size)


def part_of(raw: RawStore, path: str, start: int, end: int, version: str | None) -> Piece:
    """``RawStore.get``, whose answer is as long as it has to be. Blocks.

    Raises:
        StorageUnavailableError: it is shorter; what breaks off midway may look like an end.
    """
    piece = raw.get(path, start, end, version=version)
    if len(piece.data) != max(0, min(end, piece.info.size) - start):
        raise faults.unavailable(raw.url, "the connection broke off")
    return piece


def list_of(raw: RawStore, prefix: str) -> list[ObjectInfo]:
    """The objects below a prefix by name. Blocks."""
    return sorted(raw.list(prefix), key=lambda info: info.path)
