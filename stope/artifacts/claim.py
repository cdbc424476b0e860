"""Whether a folder is the store that records have used: one that is not mounted looks empty.

Records leave their mark in a store (``stope.artifacts.owners``). Of folders they also remember that
they did: where the mark is not there any more, it is another folder.

A folder is known again by its URL, by what that leads to, and in the folder of the records by its
name: a home that is moved, or entered by another way, is the same home.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from stope.artifacts.owners import owner_note, owner_path
from stope.objects import faults
from stope.objects.folder import StoreFolder
from stope.objects.port import RawStore
from stope.objects.store import begun

LONGEST_SILENCE = 15.0
"""Seconds until a disk that says nothing is away: a mount whose server is away may never answer."""

_SAME_DISK = "home:"
_OTHER_DISK = "disk-in-home:"
"""Names by which folders in the folder of the records are kept, and where they were found."""


def disk_of(path: Path) -> int:
    """The number of the disk that a folder is on, as long as it is mounted."""
    return path.stat().st_dev


class StoreRecords(Protocol):
    """What records remember of the stores that they use."""

    @property
    def home(self) -> Path | None:
        """The folder that the records lie in, where they are a file."""

    async def owner(self) -> str:
        """Their id, by which their mark is named."""

    async def stores(self) -> Mapping[str, str]:
        """The stores that have their mark, by name; with where and when it was left, or ''."""

    async def keep_store(self, name: str, note: str) -> None:
        """Remember a store that has it."""

    async def has_artifacts(self) -> bool:
        """Whether a run has ever noted that it needs an artifact."""


class FolderClaim:
    """Makes a folder that is used for the first time; refuses one that should be another.

    Args:
        raw: the driver of the store.
        folder: its folder.
        records: of those who use it.
        content: a folder in it that only a used one has.
    """

    def __init__(
        self, raw: RawStore, folder: StoreFolder, records: StoreRecords, content: str
    ) -> None:
        self._raw = raw
        self._folder = folder
        self._records = records
        self._content = content
        self._is_ready = False
        self._looking: Future[set[str]] | None = None

    async def ready(self) -> None:
        """See that it is ours, and leave our mark where it is new.

        Raises:
            StorageUnavailableError: it is not the one that the records know, or its disk is silent.
            StorageRefusedError: it may not be entered.
            UsageError: it is new, and cannot be made.
        """
        if self._is_ready:
            return
        mark = owner_path(await self._records.owner())
        stores = await self._records.stores()
        # Before folders were remembered they were used all the same.
        was_used = not stores and await self._records.has_artifacts()
        names = await self._looked(mark, stores, was_used)
        for name in sorted(names - stores.keys()):
            await self._records.keep_store(name, owner_note().decode())
        self._is_ready = True

    async def _looked(self, mark: str, stores: Mapping[str, str], was_used: bool) -> set[str]:
        if self._looking is None or self._looking.done():
            self._looking = begun(lambda: self._settle(mark, stores, was_used))
        # One thread waits for a silent disk, however often we are asked: the others are needed.
        looking = asyncio.shield(asyncio.wrap_future(self._looking))
        try:
            return await asyncio.wait_for(looking, LONGEST_SILENCE)
        except TimeoutError:
            silent = f"no answer in {LONGEST_SILENCE:.0f} s"
            raise faults.unavailable(self._raw.url, silent) from None

    def _settle(self, mark: str, stores: Mapping[str, str], was_used: bool) -> set[str]:
        """Check the folder, made where it is new. Blocks; gives the names it is known by."""
        folder = self._folder
        names = {self._raw.url, Path(os.path.realpath(folder.path)).as_uri()}
        home = self._home()
        here, elsewhere = (f"{kind}{folder.path.name}" for kind in (_SAME_DISK, _OTHER_DISK))
        inside = {here, elsewhere} if home is not None else set()
        known = sorted((names | inside) & stores.keys())
        may_mark = not known and (not was_used or folder.holds(self._content))
        if may_mark and not folder.holds(mark):
            folder.make()
            self._raw.put(mark, owner_note())
        left = next((stores[name] for name in known if stores[name]), "")
        # What has always been on the disk of the records is not mounted: it is there, or deleted.
        stays = home is not None and here in stores and elsewhere not in stores
        folder.expect(mark, left=left, renewed=owner_note() if stays else None)
        folder.check()
        if home is not None:
            is_here = disk_of(folder.path) == disk_of(home)
            stays = is_here and elsewhere not in stores
            folder.expect(mark, left=left, renewed=owner_note() if stays else None)
            names.add(here if is_here else elsewhere)
        return names

    def _home(self) -> Path | None:
        """The folder of the records, where this one lies directly in it."""
        home = self._records.home
        if home is None or os.path.realpath(self._folder.path.parent) != os.path.realpath(home):
            return None
        return home
