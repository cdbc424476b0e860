"""The upload stage: preparing → uploading → verifying → completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from stope.errors import InputError, ItemRefusedError
from stope.identity import digest_of
from stope.models.checkpoint import UploadCheckpoint
from stope.models.gap import Gap
from stope.models.job import JsonObject
from stope.models.upload import Item, ItemFacts, Receipt, UploadPlan
from stope.report.document import Document
from stope.stage import StageOutcome, StageRun, percent, status_of
from stope.units import Tally, Unit, UnitOutputs, UnitStore, run_units, stored_plan
from stope.upload.destination import Destination
from stope.upload.items import items_of, records_of
from stope.upload.verifying import Verified, slots, verify

STAGE = "upload"


class ReceiptRecords(Protocol):
    """Where receipts are kept."""

    async def record(self, destination: str, run_id: str, receipt: Receipt) -> None:
        """Keep a receipt with the run that got it."""

    async def of_run(self, destination: str, run_id: str) -> dict[str, Receipt]:
        """The receipts that a run got at a destination, by item."""

    async def digests(self, destination: str, collection: str) -> dict[str, str]:
        """SHA-256 of what each item of a collection was last put with, whichever run put it."""


async def upload(
    run: StageRun[UploadCheckpoint],
    *,
    units: UnitStore,
    receipts: ReceiptRecords,
    read_document: Callable[[], Awaitable[Document]],
    open_destination: Callable[[str], Destination],
) -> StageOutcome:
    """Publish what a run knows at a destination, and look that all of it is there.

    Args:
        run: the attempt; its job's input is the digest of knowledge or of claims.
        units: plans, and the receipt of each item that was put.
        receipts: the same as rows.
        read_document: gives the document of the input.
        open_destination: the destination at the URL of the job's config.
    """
    job, checkpoint = run.job, run.checkpoint
    checkpoint.stage = "preparing"
    await run.enter("preparing")
    if not job.config.upload_to:
        raise InputError(f"The job {job.id} names no destination; start it with one: `--to`.")
    destination = open_destination(job.config.upload_to)
    try:
        document = await read_document()
        collection = f"{job.input.kind.value}-{job.input.digest[:16]}"
        # In a thread: a long transcript takes seconds, and the heartbeat must not wait.
        make = records_of if destination.keeps_records else items_of
        items = await asyncio.to_thread(make, document, collection)
        plan = await _plan(units, job.namespace, destination.url, items)
        checkpoint.total_items = len(plan.items)

        checkpoint.stage = "uploading"
        await run.enter("uploading")
        put = _Putting(run, units, receipts, destination)
        done = await put.all(items)

        checkpoint.stage = "verifying"
        await run.enter("verifying")
        at_place = [item for item in items if item.name in done.outputs]
        told = await receipts.digests(destination.url, collection)
        verified = await verify(run, destination, at_place, put.again, told)
    finally:
        await destination.close()

    gaps = (*done.gaps, *(_gap(item, why) for item, why in verified.failed))
    _note_failed(checkpoint, verified.failed)
    outcome = StageOutcome(
        status=status_of(gaps),
        output_id=f"upload-{digest_of([destination.url, plan])[:16]}",
        result=_result(run, destination, collection, document, items, verified),
        gaps=gaps,
        metrics={
            **done.metrics(),
            "items_uploaded": put.items,
            "items_repaired": verified.repaired,
            "bytes_uploaded": put.bytes,
            "wall_seconds": round(run.wall_seconds, 3),
        },
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    return outcome


def unit_key(namespace: str, destination: str, item: ItemFacts) -> str:
    """The key under which an item's receipt is committed: this content, at this place."""
    return digest_of([STAGE, namespace, destination, item.id, item.digest])


async def _plan(
    units: UnitStore, namespace: str, destination: str, items: Sequence[Item]
) -> UploadPlan:
    """The plan, stored under its own content: whoever makes the same items has the same plan."""
    made = UploadPlan(items=tuple(item.facts for item in items))

    async def make() -> UploadPlan:
        return made

    key = digest_of([STAGE, "plan", namespace, destination, made])
    return await stored_plan(units, key, STAGE, UploadPlan, make)


class _Putting:
    """Puts the items of one run, and keeps what the destination says.

    ``items`` and ``bytes`` count what was written, by this attempt; what the destination had
    already is not in them.
    """

    def __init__(
        self,
        run: StageRun[UploadCheckpoint],
        units: UnitStore,
        receipts: ReceiptRecords,
        destination: Destination,
    ) -> None:
        self.items = 0
        self.bytes = 0
        self._run = run
        self._units = units
        self._receipts = receipts
        self._destination = destination

    async def all(self, items: Sequence[Item]) -> UnitOutputs[Receipt]:
        """Every item that has no committed receipt for this content at this place."""
        run, checkpoint, place = self._run, self._run.checkpoint, self._destination.url
        # An attempt that was killed has kept receipts that it did not come to commit as units.
        kept = await self._receipts.of_run(place, run.run.run_id)

        async def do(unit: Unit[Item]) -> Receipt:
            receipt = kept.get(unit.item.id)
            if receipt is not None and receipt.digest == unit.item.digest:
                return receipt
            return await self.again(unit.item)

        async def report(tally: Tally) -> None:
            checkpoint.completed_items = list(tally.committed)
            # A run that comes back to other bytes has fewer of them there; shown progress stays.
            checkpoint.progress_percent = max(
                checkpoint.progress_percent, percent(len(tally.committed), tally.total)
            )
            await run.advance(tally)

        return await run_units(
            [
                Unit(item.name, unit_key(run.job.namespace, place, item.facts), item)
                for item in items
            ],
            do,
            stage=STAGE,
            store=self._units,
            output=Receipt,
            concurrency=slots(run, self._destination),
            report=report,
            draining=run.draining,
        )

    async def again(self, item: Item) -> Receipt:
        """Put one item, whatever was there before."""
        receipt = await self._destination.put(item)
        if receipt.digest != item.digest:
            raise ItemRefusedError(
                f"{self._destination.url} says it has other bytes under {item.id} than it was "
                f"given (SHA-256 {receipt.digest}, not {item.digest}); try again, or look there."
            )
        await self._receipts.record(self._destination.url, self._run.run.run_id, receipt)
        if receipt.written:
            self.items += 1
            self.bytes += len(item.data)
        return receipt


def _note_failed(checkpoint: UploadCheckpoint, failed: Sequence[tuple[Item, str]]) -> None:
    """An item that is not there is not completed, whatever was said when it was put."""
    lost = {item.name for item, _ in failed}
    checkpoint.completed_items = [name for name in checkpoint.completed_items if name not in lost]


def _gap(item: Item, why: str) -> Gap:
    return Gap(stage=STAGE, unit_id=item.name, reason=why)


def _result(
    run: StageRun[UploadCheckpoint],
    destination: Destination,
    collection: str,
    document: Document,
    items: Sequence[Item],
    verified: Verified,
) -> JsonObject:
    """References and counts, the same whichever attempt did what."""
    found = document.knowledge or document.mined
    below = "#" if destination.keeps_records else "/"
    return {
        "upload_to": destination.url,
        "location": f"{destination.url.rstrip('/')}{below}{collection}",
        "items": len(items),
        "items_verified": verified.sound,
        "bytes": sum(len(item.data) for item in items),
        # Else all there is are receipts: the destination cannot be asked what it has.
        **({} if destination.reads_back else {"read_back": False}),
        f"{run.job.input.kind.value}_digest": run.job.input.digest,
        **({"transcript_digest": found.transcript_digest} if found else {}),
    }
