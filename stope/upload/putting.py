"""Putting: every item that has no receipt is put, and what the destination says is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stope.errors import ItemRefusedError
from stope.identity import digest_of
from stope.models.checkpoint import UploadCheckpoint
from stope.models.upload import Item, ItemFacts, Receipt
from stope.stage import StageRun, percent
from stope.units import Tally, Unit, UnitOutputs, UnitStore, run_units
from stope.upload.destination import Destination
from stope.upload.patience import ItemPatience

STAGE = "upload"


class ReceiptRecords(Protocol):
    """Where receipts are kept."""

    async def record(self, destination: str, run_id: str, receipt: Receipt) -> None:
        """Keep a receipt with the run that got it."""

    async def of_run(self, destination: str, run_id: str) -> dict[str, Receipt]:
        """The receipts that a run got at a destination, by item."""

    async def digests(self, destination: str, collection: str) -> dict[str, str]:
        """SHA-256 of what each item of a collection was last put with, whichever run put it."""


def unit_key(namespace: str, destination: str, item: ItemFacts) -> str:
    """The key under which an item's receipt is committed: this content, at this place."""
    return digest_of([STAGE, namespace, destination, item.id, item.digest])


def slots(run: StageRun[UploadCheckpoint], destination: Destination) -> int:
    """Items that are on their way at once.

    Records travel in batches: how many requests there are at once is not how many items.
    """
    if destination.keeps_records:
        return destination.parallel
    return max(1, run.max_workers or destination.parallel)


class Putting:
    """Puts the items of one attempt.

    ``items_written`` and ``bytes_written`` count what the attempt changed at the destination; what
    that had already is not in them.
    """

    def __init__(
        self,
        run: StageRun[UploadCheckpoint],
        units: UnitStore,
        receipts: ReceiptRecords,
        destination: Destination,
        items: Sequence[Item],
    ) -> None:
        self.items_written = 0
        self.bytes_written = 0
        self._run = run
        self._units = units
        self._receipts = receipts
        self._destination = destination
        self._items = items
        self._patience = self._patiently()

    async def all(self) -> UnitOutputs[Receipt]:
        """Every item that has no committed receipt for this content at this place."""
        run, checkpoint, place = self._run, self._run.checkpoint, self._destination.url
        # An attempt that was killed has kept receipts that it did not come to commit as units.
        kept = await self._receipts.of_run(place, run.run.run_id)

        async def do(unit: Unit[Item]) -> Receipt:
            receipt = kept.get(unit.item.id)
            if receipt is not None and receipt.digest == unit.item.digest:
                return receipt
            return await self._patience.of(unit.item)

        async def report(tally: Tally) -> None:
            checkpoint.completed_items = list(tally.committed)
            # A run that comes back to other bytes has fewer of them there; shown progress stays.
            checkpoint.progress_percent = max(
                checkpoint.progress_percent, percent(len(tally.committed), tally.total)
            )
            await run.advance(tally)

        done = await run_units(
            [
                Unit(item.name, unit_key(run.job.namespace, place, item.facts), item)
                for item in self._items
            ],
            do,
            stage=STAGE,
            store=self._units,
            output=Receipt,
            concurrency=slots(run, self._destination),
            report=report,
            draining=run.draining,
        )
        # From here on an item is put for a reason: what was said of it before is no answer.
        self._patience = self._patiently()
        return done

    async def again(self, item: Item) -> Receipt:
        """Put one item, whatever was there before."""
        return await self._patience.of(item)

    def _patiently(self) -> ItemPatience[Receipt]:
        run = self._run
        return ItemPatience(self._put, self._items, draining=run.draining, note=run.note)

    async def _put(self, item: Item) -> Receipt:
        receipt = await self._destination.put(item)
        if receipt.digest != item.digest:
            raise ItemRefusedError(
                f"{self._destination.url} says it has other bytes under {item.id} than it was "
                f"given (SHA-256 {receipt.digest}, not {item.digest}); try again, or look there."
            )
        await self._receipts.record(self._destination.url, self._run.run.run_id, receipt)
        if receipt.written:
            self.items_written += 1
            self.bytes_written += len(item.data)
        return receipt
