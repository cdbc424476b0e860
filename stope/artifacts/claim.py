"""Whether a folder is the store that records have used: one that is not mounted looks empty.

Records leave their mark in a store (``stope.artifacts.owners``). Of folders they also remember that
they did: where the mark is not there any more, it is another folder.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from stope.artifacts.owners import owner_note, owner_path
from stope.objects.folder import StoreFolder
from stope.objects.port import RawStore
from stope.objects.store import in_thread


class StoreRecords(Protocol):
    """What records remember of the stores that they use."""

    async def owner(self) -> str:
        """Their id, by which their mark is named."""

    async def stores(self) -> Collection[str]:
        """The URLs of the folders that have their mark."""

    async def keep_store(self, url: str) -> None:
        """Remember that the folder behind a URL has it."""

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

    async def ready(self) -> None:
        """See that it is ours, and leave our mark where it is new.

        Raises:
            StorageUnavailableError: it is not the one that the records know.
            UsageError: it is new, and cannot be made.
        """
        if self._is_ready:
            return
        mark = owner_path(await self._records.owner())
        stores = await self._records.stores()
        is_new = self._raw.url not in stores
        # Before folders were remembered they were used all the same.
        was_used = bool(not stores and await self._records.has_artifacts())
        await in_thread(lambda: self._settle(mark, is_new=is_new, was_used=was_used))
        if is_new:
            await self._records.keep_store(self._raw.url)
        self._is_ready = True

    def _settle(self, mark: str, *, is_new: bool, was_used: bool) -> None:
        folder = self._folder
        may_mark = is_new and (not was_used or folder.holds(self._content))
        if may_mark and not folder.holds(mark):
            folder.make()
            self._raw.put(mark, owner_note())
        folder.expect(mark)
        folder.check()
