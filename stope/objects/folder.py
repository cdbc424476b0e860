"""The folder of a local store: made at its first use, known by a mark, locked to compare.

A folder that is not mounted looks like an empty one, or is one. So a store may be told a name that
lies in its folder from then on; without it nothing is said of what is there, and nothing written.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from obstore.store import LocalStore

from stope.errors import StorageUnavailableError, UsageError
from stope.objects import faults

log = logging.getLogger(__name__)

LOCK = ".lock"
"""Held while an object is compared and replaced; it is no object."""

_LOCK_SECONDS = 10.0


class StoreFolder:
    """A folder with objects in it. Blocks, and is used from several threads.

    Args:
        path: the folder.
        url: of the store, as it is shown.
        what: the setting or option that names it.
    """

    def __init__(self, path: Path, url: str, what: str) -> None:
        self.path = path
        self._url = url
        self._what = what
        self._mark = ""
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
        """Whether there is something under a name.

        Raises:
            StorageUnavailableError: its disk does not say.
        """
        return self._says(self.path / name)

    def expect(self, mark: str) -> None:
        """From now on it is the store only while it holds this object."""
        self._mark = mark

    def check(self) -> None:
        """See that it is there, and the one that is expected.

        Raises:
            StorageUnavailableError: it is not.
        """
        if self._mark and not self._says(self.path / self._mark):
            raise StorageUnavailableError(
                f"The folder {self.path} is not the one that the records have used: its mark "
                f"{self._mark} is not there. Mount it again or put it back, and the work goes on. "
                f"If it is gone for good, begin it anew: {self._renewal()}"
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
        """
        self.check()
        lock = FileLock(self.path / LOCK, timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise faults.unavailable(self._url, f"somebody holds {LOCK}") from None
        except NotImplementedError:
            log.info("the file system of %s has no locks", self.path)
        except OSError as error:
            fix = "make the folder and what is in it readable and writable"
            raise faults.refused(self._url, error.strerror or "no lock", fix) from None
        try:
            yield
        finally:
            lock.release()

    def _says(self, path: Path) -> bool:
        try:
            return path.exists()
        except OSError as error:
            # A mount whose server is away.
            raise faults.unavailable(self._url, error.strerror or "no answer") from None

    def _renewal(self) -> str:
        mark = self.path / self._mark
        return f"mkdir -p {shlex.quote(str(mark.parent))} && touch {shlex.quote(str(mark))}"
