"""Folders, memory and S3 through ``obstore``, which is Rust's ``object_store``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, MemoryStore, S3Store

from stope.errors import StopeError
from stope.objects import faults
from stope.objects.folder import LOCK, StoreFolder
from stope.objects.port import PART, ObjectInfo, Piece, Readable

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode

_PARTS_AT_ONCE = 2
_MOST_PARTS = 9_000
"""S3 takes 10,000; larger objects get larger parts."""

_OS_ERROR = re.compile(r"os error (\d+)")
_NOT_THERE = re.compile(r"(?i)not found|NoSuchKey|status code: 404|status: 404")
_NO_RANGE = re.compile(r"(?i)invalid range|range was invalid|status code: 416")


class ObstoreStore:
    """A ``RawStore`` over a store of obstore's.

    Args:
        url: as it is shown.
        opened: gives the store, with its prefix.
        folder: of a local one.
        explain: the error that a text of obstore's stands for, where the store is remote.
        check_place: raises when the bucket itself is not there; called before an object is said to
            be missing. A folder is looked at also before anything is written to it.
    """

    def __init__(
        self,
        url: str,
        opened: Callable[[], LocalStore | MemoryStore | S3Store],
        *,
        folder: StoreFolder | None = None,
        explain: Callable[[str], StopeError] | None = None,
        check_place: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url
        self.folder = folder.path if folder is not None else None
        self._place = folder
        self._opened = opened
        self._explain = explain or self._explain_here
        self._check_place = folder.check if folder is not None else check_place

    @property
    def _store(self) -> LocalStore | MemoryStore | S3Store:
        return self._opened()

    def put(
        self, path: str, data: bytes, *, only_new: bool = False, replacing: str | None = None
    ) -> bool:
        """As ``RawStore``."""
        self._check_folder()
        if (only_new or replacing is not None) and self._place is not None:
            # What a folder could do itself for a new object takes hard links, which many a disk
            # and network share has not.
            with self._place.locked():
                found = self.head(path)
                is_as_wanted = (found.version if found is not None else None) == replacing
                return is_as_wanted and self.put(path, data)
        mode: PutMode | None = None
        if only_new:
            mode = "create"
        elif replacing is not None:
            mode = {"e_tag": replacing}
        try:
            obstore.put(
                self._store, path, data, mode=mode, chunk_size=PART, max_concurrency=_PARTS_AT_ONCE
            )
        except (AlreadyExistsError, PreconditionError):
            return False
        except (OSError, BaseError) as error:
            if replacing is not None and _NOT_THERE.search(str(error)):
                # Whether it is the object or the bucket that is not there is seen when it is read.
                return False
            raise self._translated(error, path) from None
        return True

    def put_stream(self, path: str, stream: Readable, size: int) -> None:
        """As ``RawStore``."""
        self._check_folder()
        part = max(PART, -(-size // _MOST_PARTS))
        failed: list[BaseException] = []

        def blocks() -> Iterator[bytes]:
            try:
                while block := stream.read(part):
                    yield block
            except BaseException as error:
                # Remembered: what obstore makes of it is only a text.
                failed.append(error)
                raise

        try:
            obstore.put(
                self._store,
                path,
                blocks(),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except Exception as error:
            if failed:
                raise failed[0] from None
            if not isinstance(error, OSError | BaseError):
                raise
            raise self._translated(error, path) from None

    def get(self, path: str, start: int, end: int, *, version: str | None = None) -> Piece:
        """As ``RawStore``."""
        try:
            options: GetOptions = {"range": (start, end)}
            if version is not None:
                options["if_match"] = version
            result = obstore.get(self._store, path, options=options)
            info = _info(result.meta)
            data = bytes(result.bytes())
        except (PreconditionError, NotModifiedError):
            raise faults.changed(self.url, path) from None
        except (OSError, BaseError) as error:
            # A range that begins at the end or behind it is an error to stores; an empty object
            # has no other.
            at_end = self._at_end(path, start) if _NO_RANGE.search(str(error)) else None
            if at_end is None:
                raise self._translated(error, path) from None
            info, data = at_end, b""
        if version is not None and info.version != version:
            raise faults.changed(self.url, path)
        return Piece(data, info)

    def head(self, path: str) -> ObjectInfo | None:
        """As ``RawStore``."""
        try:
            return _info(obstore.head(self._store, path))
        except FileNotFoundError:
            self._check_place()
            return None
        except (OSError, BaseError) as error:
            raise self._translated(error, path) from None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As ``RawStore``."""
        self._check_folder()
        try:
            for some in obstore.list(self._store, prefix=prefix or None, chunk_size=1000):
                for meta in some:
                    if meta["path"] != LOCK:
                        yield _info(meta)
        except (OSError, BaseError) as error:
            raise self._translated(error, prefix) from None

    def delete(self, path: str, *, only: str | None = None) -> bool:
        """As ``RawStore``."""
        self._check_folder()
        with self._place.locked() if self._place is not None and only else nullcontext():
            if only is not None:
                found = self.head(path)
                if found is None or found.version != only:
                    return found is None
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                self._check_place()
            except (OSError, BaseError) as error:
                raise self._translated(error, path) from None
        return True

    def _check_folder(self) -> None:
        # What is not mounted looks like an empty folder, and would take what is written.
        if self._place is not None:
            self._place.check()

    def _at_end(self, path: str, start: int) -> ObjectInfo | None:
        try:
            info = _info(obstore.head(self._store, path))
        except (OSError, BaseError):
            return None
        return info if start >= info.size else None

    def _translated(self, error: Exception, path: str) -> StopeError:
        if isinstance(error, FileNotFoundError):
            try:
                self._check_place()
            except StopeError as reason:
                return reason
            return faults.missing(self.url, path)
        return self._explain(_told(error))

    def _explain_here(self, text: str) -> StopeError:
        found = _OS_ERROR.search(text)
        number = int(found.group(1)) if found else 0
        why = os.strerror(number) if number else text.splitlines()[0]
        return faults.of_disk(self.url, number, why)


def _told(error: Exception) -> str:
    """What an error says, with the status where only its class has it."""
    if isinstance(error, PermissionDeniedError):
        return f"status: 403\n{error}"
    if isinstance(error, UnauthenticatedError):
        return f"status: 401\n{error}"
    return str(error)


def _info(meta: ObjectMeta) -> ObjectInfo:
    version = meta["e_tag"] or meta["last_modified"].isoformat()
    return ObjectInfo(meta["path"], meta["size"], version, meta["last_modified"])
