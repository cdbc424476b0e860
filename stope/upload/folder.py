"""A local folder as a destination: each item a file, published whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from stope.errors import (
    NO_ROOM,
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    StopeError,
    StorageFullError,
)
from stope.identity import digest_file
from stope.models.upload import Item, Receipt
from stope.upload.destination import checked_id

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_IN_THE_WAY = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
)

DRAFT_SECONDS = 3600
"""A draft that is older than this is nobody's any more."""


class FolderDestination:
    """A folder of this machine, or one that is mounted on it.

    An item is written to a temporary name beside its place, flushed to the disk, and renamed.
    Nothing is written or read outside the folder, whatever links stand in it.

    Args:
        folder: an absolute path; made with the first item.
    """

    parallel = 4
    keeps_records = False
    reads_back = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        place = self._place(item.id)
        with self._translated(item.id):
            written = await asyncio.to_thread(self._publish, place, item)
        return Receipt(
            item_id=item.id, digest=item.digest, location=place.as_uri(), written=written
        )

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        place = self._place(item_id)
        with self._translated(item_id):
            return await asyncio.to_thread(self._digest, place)

    async def close(self) -> None:
        """See ``Destination``."""

    def _place(self, item_id: str) -> Path:
        return self.folder.joinpath(*checked_id(item_id).split("/"))

    def _publish(self, place: Path, item: Item) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in self._between(place):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                _flush_folder(folder.parent)
            self._confine(folder)
        if self._digest(place) == item.digest:
            return False
        draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
        try:
            with draft.open("xb") as file:
                file.write(item.data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        _flush_folder(place.parent)
        # What an attempt that was killed left half written, and not what somebody writes just now.
        for left in place.parent.glob(f".{place.name}.????????.part"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > DRAFT_SECONDS:
                    left.unlink(missing_ok=True)
        return True

    def _digest(self, place: Path) -> str | None:
        if not place.parent.is_dir():
            return None
        self._confine(place.parent)
        # A link is not what was put there, wherever it leads.
        if place.is_symlink() or not place.is_file():
            return None
        return digest_file(place)

    def _between(self, place: Path) -> list[Path]:
        """The folders from the destination down to an item, without the destination."""
        inside = place.parent.relative_to(self.folder).parts
        return [self.folder.joinpath(*inside[:depth]) for depth in range(1, len(inside) + 1)]

    def _confine(self, folder: Path) -> None:
        if not folder.resolve().is_relative_to(self.folder.resolve()):
            raise ItemRefusedError(
                f"{folder} leads out of {self.folder} through a link, so nothing is written there; "
                "remove the link."
            )

    @contextlib.contextmanager
    def _translated(self, item_id: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(item_id, error) from error

    def _error(self, item_id: str, error: OSError) -> StopeError:
        reason = (error.strerror or str(error)).lower()
        if error.errno in NO_ROOM:
            return StorageFullError(
                f"There is no room for {item_id} in the folder {self.folder} ({reason}); free some "
                "space and the upload goes on."
            )
        if error.errno in _DENIED or not _can_be_folder(self.folder):
            return DestinationRefusedError(
                f"The folder {self.folder} cannot be used as a destination ({reason}); make it "
                "writable, or name another one with --to."
            )
        if error.errno in _IN_THE_WAY:
            return ItemRefusedError(
                f"{item_id} cannot be written below {self.folder} ({reason}); move away what "
                "stands in its place."
            )
        return DestinationUnavailableError(
            f"The folder {self.folder} does not answer ({reason}); check that its disk is there, "
            "and the upload goes on."
        )


def _can_be_folder(folder: Path) -> bool:
    """Whether nothing but folders stands on the way to a folder, as far as the way exists."""
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    return os.path.isdir(nearest)  # noqa: PTH112  (unlike Path's, never raises)


def _flush_folder(folder: Path) -> None:
    """Make what was renamed or made in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network folders know no such thing.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
