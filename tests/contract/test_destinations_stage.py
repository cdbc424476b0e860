"""The upload stage on every kind of destination: published, repeated, noticed and mended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stope.errors import ItemRefusedError, WorkerDrainingError
from stope.identity import canonical_json
from stope.models.checkpoint import UploadCheckpoint
from stope.models.job import InputKind, JobInput, JobStatus, JobType
from stope.models.upload import Item, Receipt
from stope.report.document import Document
from stope.stage import StageOutcome, StageRun
from stope.upload.destination import Destination
from stope.upload.items import items_of, records_of
from stope.upload.stage import upload
from tests.builders import stage_run_of
from tests.contract.places import Opened
from tests.documents import TALK_DOCUMENT
from tests.memory import MemoryMirror, MemoryUnitStore

DIGEST = "a" * 64
COLLECTION = f"knowledge-{DIGEST[:16]}"


class Watched:
    """A destination that lists what is written; its worker leaves after so many puts."""

    def __init__(self, real: Destination, written: list[str], leaving: int | None) -> None:
        self.url, self.parallel = real.url, real.parallel
        self.keeps_records = real.keeps_records
        self.draining = asyncio.Event()
        self._real, self._written, self._leaving = real, written, leaving
        self._begun = 0

    @property
    def reads_back(self) -> bool:
        return self._real.reads_back

    async def put(self, item: Item) -> Receipt:
        self._begun += 1
        if self._leaving is not None and self._begun > self._leaving:
            self.draining.set()
            raise WorkerDrainingError("It leaves.")
        if item.id.endswith("claims.md"):
            raise ItemRefusedError("No notes here.")
        receipt = await self._real.put(item)
        self._written.extend([item.id] if receipt.written else [])
        return receipt

    async def digest(self, item_id: str) -> str | None:
        return await self._real.digest(item_id)

    async def close(self) -> None:
        await self._real.close()


class Uploads:
    """Runs of one upload job, each with a destination that is opened anew."""

    def __init__(self, opened: Opened) -> None:
        self.units = MemoryUnitStore()
        self.written: list[str] = []
        self.receipts: dict[str, tuple[str, Receipt]] = {}
        self._opened = opened

    async def record(self, destination: str, run_id: str, receipt: Receipt) -> None:
        self.receipts[receipt.item_id] = (run_id, receipt)

    async def of_run(self, destination: str, run_id: str) -> dict[str, Receipt]:
        return {name: row[1] for name, row in self.receipts.items() if row[0] == run_id}

    async def digests(self, destination: str, collection: str) -> dict[str, str]:
        return {name: row[1].digest for name, row in self.receipts.items()}

    async def run(self, leaving: int | None = None) -> StageOutcome:
        run: StageRun[UploadCheckpoint] = stage_run_of(
            JobType.UPLOAD, DIGEST, UploadCheckpoint(), MemoryMirror()
        )
        source = JobInput(kind=InputKind.KNOWLEDGE, digest=DIGEST, path="memory://")
        config = run.job.config.model_copy(update={"upload_to": "as it is opened"})
        run.job = run.job.model_copy(update={"input": source, "config": config})
        self.written.clear()
        place = Watched(self._opened(), self.written, leaving)
        run.draining = place.draining

        async def read_document() -> Document:
            return TALK_DOCUMENT

        return await upload(
            run,
            units=self.units,
            receipts=self,
            read_document=read_document,
            open_destination=lambda _url: place,
        )

    async def tamper(self, items: Sequence[Item]) -> None:
        """Somebody else puts other content under their ids."""
        place = self._opened()
        other = canonical_json({"id": "x", "text": "Other words"}).encode()
        for item in items:
            await place.put(item.model_copy(update={"data": other}))
        await place.close()


async def test_what_is_published_is_repeated_for_nothing_and_mended_where_it_was_changed(
    opened: Opened,
) -> None:
    uploads = Uploads(opened)
    place = opened()
    items = (records_of if place.keeps_records else items_of)(TALK_DOCUMENT, COLLECTION)
    wanted = {item.id for item in items if not item.id.endswith("claims.md")}

    first = await uploads.run()
    assert first.status is JobStatus.SUCCEEDED_WITH_GAPS
    assert [(gap.unit_id, gap.reason) for gap in first.gaps] == [("claims.md", "No notes here.")]
    assert {*uploads.written} == wanted
    assert len(uploads.written) == len(wanted) == first.result["items_verified"]

    second = await uploads.run()
    assert uploads.written == []
    assert second.final_result() == first.final_result()

    await uploads.tamper([items[0], items[-1]])
    third = await uploads.run()
    assert third.metrics["items_repaired"] == 2
    assert {*uploads.written} == {items[0].id, items[-1].id}
    found = {item.id: await place.digest(item.id) for item in items}
    assert found == {item.id: item.digest if item.id in wanted else None for item in items}
    await place.close()


async def test_another_attempt_goes_on_with_the_items_that_are_left(opened: Opened) -> None:
    uploads = Uploads(opened)
    with pytest.raises(WorkerDrainingError):
        await uploads.run(leaving=3)
    committed, sent = len(uploads.units.outputs), {*uploads.written}
    assert committed == len(sent) == 3
    outcome = await uploads.run()
    assert not sent & {*uploads.written}
    assert outcome.metrics["units_reused"] == committed
    assert outcome.result["items_verified"] == committed + len(uploads.written)
    assert len(uploads.receipts) == outcome.result["items_verified"]
