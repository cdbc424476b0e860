"""The folder of a local store: made at its first use, known by a mark, locked to compare.

A folder that is not mounted looks like an empty one, or is one. So a store may be told a name that
lies in its folder from then on; without it nothing is said of what is there, and nothing written.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from obstore.store import LocalStore

from stope.errors import StopeError, StorageUnavailableError, UsageError
from stope.objects import faults

log = logging.getLogger(__name__)

LOCK = ".lock"
"""Held while an object is compared and replaced; it is no object."""

_LOCK_SECONDS = 10.0
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
"""What a file system says that has no locks, or whose server has none."""

_OTHERS_WRITE = 0o022


class StoreFolder:
    """A folder with objects in it. Blocks, and is used from several threads.

    Args:
        path: the folder.
        url: of the store, as it is shown.
        what: the setting or option that names it.

    Raises:
        StorageUnavailableError: any method: its disk does not say.
        StorageRefusedError: any method: it may not be entered.
    """

    def __init__(self, path: Path, url: str, what: str) -> None:
        self.path = path
        self._url = url
        self._what = what
        self._mark = ""
        self._left = ""
        self._renewed: bytes | None = None
        self._opened: LocalStore | None = None

    def make(self) -> None:
        """Make it, unless it is there.

        Raises:
            UsageError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The folder {self.path} of {self._what} cannot be made ({error.strerror}); set "
                f"{self._what} to a place you can write to."
            ) from error

    def holds(self, name: str) -> bool:
        """Whether there is something under a name."""
        return self._says(self.path / name)

    def settle(self, name: str) -> None:
        """Have an object, and its name, on the disk: a power loss leaves it neither torn nor gone.

        Raises:
            StorageUnavailableError: the disk fails.
            StorageFullError: it has no room after all.
        """
        file = self.path / name
        try:
            for place in (file, file.parent):
                handle = os.open(place, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except OSError as error:
            raise faults.of_disk(self._url, error.errno or 0, str(error.strerror)) from error

    def expect(self, mark: str, *, left: str = "", renewed: bytes | None = None) -> None:
        """From now on it is the store only while it holds this object.

        Args:
            mark: the name of the object.
            left: for people: where and when it was left.
            renewed: of a folder that cannot be away while the one around it is there: what the
                mark says where the folder was deleted, and is made again.
        """
        self._mark = mark
        self._left = left
        self._renewed = renewed

    def check(self) -> None:
        """See that it is there, and the one that is expected.

        Raises:
            StorageUnavailableError: it is not.
        """
        if self._mark and not self._says(self.path / self._mark) and not self._made_again():
            left = f" (left by {self._left})" if self._left else ""
            raise StorageUnavailableError(
                f"The folder {self.path} is not the one that the records have used: its mark "
                f"{self._mark}{left} is not there on this machine. Mount it again or put it back, "
                "and the work goes on. If it is gone for good, or new, begin it anew: "
                f"{self._renewal()}"
            )
        if not self._mark and not self._says(self.path):
            raise StorageUnavailableError(
                f"The folder {self.path} is not there any more; mount it again or put it back. The "
                "work goes on when it is there."
            )

    def opened(self) -> LocalStore:
        """Its driver.

        Raises:
            StorageUnavailableError: it is not there.
        """
        if self._opened is None:
            self.check()
            self._opened = LocalStore(self.path)
        return self._opened

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else who compares before writing does so meanwhile, on any machine that sees it.

        On a file system without locks two that compare at the same moment may both write.

        Raises:
            StorageUnavailableError: it is not there, or somebody else holds the lock for too long.
            StorageRefusedError: the lock cannot be made.
            StorageFullError: there is no room for it.
        """
        self.check()
        path = self.path / LOCK
        # No lock of another kind in its place: a process that is killed would leave it held.
        lock = FileLock(path, timeout=_LOCK_SECONDS, mode=self._lock_mode(), fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout:
            raise StorageUnavailableError(
                f"Somebody else has held {path} for longer than {_LOCK_SECONDS:.0f} s; see who "
                f"does (fuser {shlex.quote(str(path))}). The work goes on when it is let go."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise self._told(error) from None
            log.info("the file system of %s has no locks", self.path)
        try:
            yield
        finally:
            lock.release()

    def _lock_mode(self) -> int:
        """The permissions of a new lock: where others may write, they may hold it too."""
        try:
            return 0o666 if self.path.stat().st_mode & _OTHERS_WRITE else 0o644
        except OSError as error:
            raise self._told(error) from None

    def _made_again(self) -> bool:
        if self._renewed is None:
            return False
        try:
            # Not its parents: without them it is not known that it was deleted.
            self.path.mkdir()
            mark = self.path / self._mark
            mark.parent.mkdir(parents=True)
            mark.write_bytes(self._renewed)
        except (FileExistsError, FileNotFoundError):
            return False
        except OSError as error:
            raise self._told(error) from None
        log.warning(
            "the folder %s is gone; it is made again, empty, and --force makes anew what was in it",
            self.path,
        )
        return True

    def _says(self, path: Path) -> bool:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError as error:
            raise faults.denied(self._url, error.strerror or "no right to enter it") from None
        except OSError as error:
            # A mount whose server is away.
            raise faults.unavailable(self._url, error.strerror or "no answer") from None
        return True

    def _told(self, error: OSError) -> StopeError:
        return faults.of_disk(self._url, error.errno or 0, error.strerror or "an unknown error")

    def _renewal(self) -> str:
        mark = self.path / self._mark
        return f"mkdir -p {shlex.quote(str(mark.parent))} && touch {shlex.quote(str(mark))}"
