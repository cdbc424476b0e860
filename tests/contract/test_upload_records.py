"""Receipts and givers in SQL: the newest receipt of an item, and the oldest job of a result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.models.upload import Receipt
from stope.records.database import Database
from stope.records.givers import ResultGivers
from stope.records.jobs import JobRecords
from stope.records.receipts import UploadReceipts
from stope.records.schema import upload_receipt

PLACE, OTHER = "file:///place", "file:///other"
TRANSCRIPT, CLAIMS = "a" * 64, "b" * 64
WHEN = datetime(2030, 1, 1, tzinfo=UTC)


def receipt(name: str, digest: str = "1" * 64, *, written: bool = True) -> Receipt:
    return Receipt(item_id=name, digest=digest, location=f"{PLACE}/{name}", written=written)


async def test_a_receipt_is_kept_once_for_an_item_at_a_place(database: Database) -> None:
    receipts = UploadReceipts(database)
    for _ in range(2):
        await receipts.record(PLACE, "run-1", receipt("talk/a"))
    await receipts.record(PLACE, "run-1", receipt("talk/b"))
    await receipts.record(OTHER, "run-1", receipt("talk/a"))
    assert await receipts.at(PLACE) == [receipt("talk/a"), receipt("talk/b")]
    assert await receipts.at(OTHER) == [receipt("talk/a")]


async def test_a_newer_receipt_takes_the_place_of_the_old_one_with_its_run(
    database: Database,
) -> None:
    receipts = UploadReceipts(database)
    await receipts.record(PLACE, "run-1", receipt("talk/a"))
    await receipts.record(PLACE, "run-1", receipt("talk/b"))
    newer = receipt("talk/a", "2" * 64, written=False)
    await receipts.record(PLACE, "run-2", newer)
    assert await receipts.at(PLACE) == [newer, receipt("talk/b")]
    assert await receipts.of_run(PLACE, "run-1") == {"talk/b": receipt("talk/b")}
    assert await receipts.of_run(PLACE, "run-2") == {"talk/a": newer}
    assert await receipts.of_run(OTHER, "run-2") == {}
    runs = select(upload_receipt.c.run_id).order_by(upload_receipt.c.item_id)
    assert [row.run_id for row in await database.fetch(runs)] == ["run-2", "run-1"]


async def test_the_newest_digests_of_a_collection_are_told_by_item(database: Database) -> None:
    receipts = UploadReceipts(database)
    await receipts.record(PLACE, "run-1", receipt("talk_1/a"))
    await receipts.record(PLACE, "run-1", receipt("talk_1/b/c"))
    await receipts.record(PLACE, "run-2", receipt("talk_1/a", "2" * 64))
    await receipts.record(PLACE, "run-1", receipt("talk_12/a"))
    await receipts.record(PLACE, "run-1", receipt("talkX1/a"))
    await receipts.record(OTHER, "run-1", receipt("talk_1/d"))
    found = await receipts.digests(PLACE, "talk_1")
    assert found == {"talk_1/a": "2" * 64, "talk_1/b/c": "1" * 64}


async def make_job(database: Database, name: str, kind: JobType, age: int, **parts: str) -> None:
    """A finished job with these parts in its result; it is older the greater its age is."""
    result: dict[str, object] = {"status": "succeeded", "output_id": name, "result": parts}
    await JobRecords(database).create(
        Job(
            id=name,
            type=kind,
            input=JobInput(kind=InputKind.RECORDING, digest="0" * 64, path="/talk.opus"),
            config=JobConfig(),
            status=JobStatus.SUCCEEDED,
            result=result,
            created_at=WHEN - timedelta(days=age),
        )
    )


async def test_the_oldest_stage_job_that_gave_a_result_is_found(database: Database) -> None:
    of = {"transcript_digest": TRANSCRIPT}
    # Not the pipeline: it has its result only after its upload is done.
    await make_job(database, "pipeline-1", JobType.PIPELINE, 9, **of)
    await make_job(database, "transcribe-2", JobType.TRANSCRIBE, 2, **of)
    await make_job(database, "transcribe-3", JobType.TRANSCRIBE, 3, **of)
    await make_job(database, "mine-1", JobType.MINE, 1, **of, claims_digest=CLAIMS)
    # It has the digest, but gave something else.
    await make_job(database, "mine-9", JobType.MINE, 8, other_digest=TRANSCRIPT)
    givers = ResultGivers(database, JobRecords(database))
    found = await givers.oldest("transcript_digest", TRANSCRIPT)
    assert found is not None
    assert found.id == "transcribe-3"
    mined = await givers.oldest("claims_digest", CLAIMS)
    assert mined is not None
    assert mined.id == "mine-1"
    assert await givers.oldest("knowledge_digest", CLAIMS) is None
