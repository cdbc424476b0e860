"""The upload stage: preparing → uploading → verifying → completed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stope.errors import InputError
from stope.identity import digest_of
from stope.models.checkpoint import UploadCheckpoint
from stope.models.gap import Gap
from stope.models.job import JsonObject
from stope.models.upload import Item, UploadPlan
from stope.report.document import Document
from stope.stage import StageOutcome, StageRun, status_of
from stope.units import UnitStore, stored_plan
from stope.upload.destination import Destination
from stope.upload.items import items_of, records_of
from stope.upload.putting import STAGE, Putting, ReceiptRecords
from stope.upload.verifying import Verified, verify


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
        putting = Putting(run, units, receipts, destination, items)
        done = await putting.all()

        checkpoint.stage = "verifying"
        await run.enter("verifying")
        at_place = [item for item in items if item.name in done.outputs]
        told = await receipts.digests(destination.url, collection)
        verified = await verify(run, destination, at_place, putting.again, told)
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
            "items_uploaded": putting.items_written,
            "items_repaired": verified.repaired,
            "bytes_uploaded": putting.bytes_written,
            "wall_seconds": round(run.wall_seconds, 3),
        },
    )
    checkpoint.stage = "completed"
    checkpoint.final_result = outcome.final_result()
    await run.enter("completed")
    return outcome


async def _plan(
    units: UnitStore, namespace: str, destination: str, items: Sequence[Item]
) -> UploadPlan:
    """The plan, stored under its own content: whoever makes the same items has the same plan."""
    made = UploadPlan(items=tuple(item.facts for item in items))

    async def make() -> UploadPlan:
        return made

    key = digest_of([STAGE, "plan", namespace, destination, made])
    return await stored_plan(units, key, STAGE, UploadPlan, make)


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
        "bytes": sum(len(item.data) for item in items),
        # What a receipt says was taken; whether it is there nobody can ask.
        **(
            {"items_verified": verified.sound}
            if destination.reads_back
            else {"items_taken": verified.sound, "read_back": False}
        ),
        f"{run.job.input.kind.value}_digest": run.job.input.digest,
        **({"transcript_digest": found.transcript_digest} if found else {}),
    }
