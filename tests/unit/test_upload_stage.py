"""The upload stage: every item is there once and read back; what fails is a gap, a retry or an end.

The destination is scripted; the document is small and its items are real.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import get_args

import pytest

from stope.errors import (
    DestinationRateLimitedError,
    DestinationRefusedError,
    DestinationUnavailableError,
    InputError,
    ItemRefusedError,
    PutOffError,
    RecordsBusyError,
    StageFailedError,
    StopeError,
    StorageFullError,
    WorkerDrainingError,
)
from stope.models.checkpoint import UploadCheckpoint
from stope.models.job import InputKind, JobInput, JobStatus, JobType
from stope.models.progress import StageProgress
from stope.models.upload import Item, Receipt, UploadPlan
from stope.report.document import Document
from stope.stage import StageOutcome, StageRun
from stope.upload import patience
from stope.upload.destination import Destination
from stope.upload.items import items_of, records_of
from stope.upload.putting import unit_key
from stope.upload.scripted import Fault, Mishap, ScriptedDestination
from stope.upload.stage import upload
from tests.builders import stage_run_of
from tests.documents import TALK_DOCUMENT
from tests.memory import MemoryMirror, MemoryUnitStore
from tests.waiting import until

DIGEST = "a" * 64
URL = "scripted://place"
COLLECTION = f"knowledge-{DIGEST[:16]}"
ITEMS = items_of(TALK_DOCUMENT, COLLECTION)
IDS = [item.id for item in ITEMS]
NAMES = [item.name for item in ITEMS]
REFUSED = ItemRefusedError("It is too large for this place.")
AWAY = DestinationUnavailableError("It does not answer; the upload goes on when it can.")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once."""
    monkeypatch.setattr(patience, "PAUSES", (0.0,) * len(patience.PAUSES))


class Place(ScriptedDestination):
    """A scripted destination that calls back after each put."""

    def __init__(
        self,
        faults: Mapping[str, Sequence[Fault]] | None = None,
        *,
        unread: Mapping[str, Sequence[StopeError]] | None = None,
        keeps_records: bool = False,
        reads_back: bool = True,
    ) -> None:
        super().__init__(
            faults, unread=unread, url=URL, keeps_records=keeps_records, reads_back=reads_back
        )
        self.leaving_after: int | None = None
        self.draining = asyncio.Event()

    async def put(self, item: Item) -> Receipt:
        receipt = await super().put(item)
        if len(self.puts) == self.leaving_after:
            self.draining.set()
        return receipt


class MemoryReceipts:
    """Receipts as they were recorded: the newest by destination and item."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[str, Receipt]] = {}

    async def record(self, destination: str, run_id: str, receipt: Receipt) -> None:
        self.rows[destination, receipt.item_id] = (run_id, receipt)

    async def of_run(self, destination: str, run_id: str) -> dict[str, Receipt]:
        return {
            key[1]: receipt
            for key, (run, receipt) in self.rows.items()
            if (key[0], run) == (destination, run_id)
        }

    async def digests(self, destination: str, collection: str) -> dict[str, str]:
        return {
            item_id: receipt.digest
            for (place, item_id), (_, receipt) in self.rows.items()
            if place == destination and item_id.startswith(f"{collection}/")
        }


class Uploads:
    """Runs of one upload job on the same units, receipts and destination."""

    def __init__(self, place: Place, document: Document = TALK_DOCUMENT, to: str = URL) -> None:
        self.place = place
        self.document = document
        self.units = MemoryUnitStore()
        self.receipts = MemoryReceipts()
        self.mirror = MemoryMirror()
        self.beats: list[StageProgress] = []
        self.checkpoint = UploadCheckpoint()
        self.to = to
        self.kind = InputKind.KNOWLEDGE

    async def run(self, run_id: str = "run-1", namespace: str = "", slots: int = 1) -> StageOutcome:
        run: StageRun[UploadCheckpoint] = stage_run_of(
            JobType.UPLOAD, DIGEST, self.checkpoint, self.mirror
        )
        run.job = run.job.model_copy(
            update={
                "input": JobInput(kind=self.kind, digest=DIGEST, path="memory://"),
                "config": run.job.config.model_copy(update={"upload_to": self.to}),
                "namespace": namespace,
            }
        )
        run.run = run.run.model_copy(update={"run_id": run_id})
        run.draining, run.max_workers = self.place.draining, slots
        run._beat = self.beats.append

        async def read_document() -> Document:
            return self.document

        def open_destination(url: str) -> Destination:
            assert url == self.to
            return self.place

        return await upload(
            run,
            units=self.units,
            receipts=self.receipts,
            read_document=read_document,
            open_destination=open_destination,
        )


async def test_every_item_is_put_read_back_and_receipted() -> None:
    uploads = Uploads(Place())
    outcome = await uploads.run()
    assert outcome.status is JobStatus.SUCCEEDED
    assert uploads.place.kept == {item.id: item.data for item in ITEMS}
    assert uploads.place.reads == uploads.place.puts == IDS
    assert {key: row[0] for key, row in uploads.receipts.rows.items()} == {
        (URL, name): "run-1" for name in IDS
    }
    assert uploads.place.closed == 1
    assert outcome.result == {
        "upload_to": URL,
        "location": f"{URL}/{COLLECTION}",
        "items": len(ITEMS),
        "items_verified": len(ITEMS),
        "bytes": sum(len(item.data) for item in ITEMS),
        "knowledge_digest": DIGEST,
        "transcript_digest": "0" * 64,
    }


async def test_the_checkpoint_goes_through_the_documented_stages_with_its_fields() -> None:
    uploads = Uploads(Place())
    outcome = await uploads.run()
    stages = list(dict.fromkeys(body["stage"] for body in uploads.mirror.bodies))
    documented = get_args(UploadCheckpoint.model_fields["stage"].annotation)
    assert (*stages, "failed") == documented
    percents = [int(str(body["progress_percent"])) for body in uploads.mirror.bodies]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    for body in uploads.mirror.bodies:
        assert (body["final_result"] is not None) == (body["stage"] == "completed")
        assert (body["total_items"] is None) == (body["stage"] == "preparing")
    last = uploads.mirror.bodies[-1]
    assert last["completed_items"] == NAMES
    assert last["final_result"] == outcome.final_result()


async def test_heartbeats_count_the_items_and_stay_small() -> None:
    uploads = Uploads(Place())
    await uploads.run()
    assert uploads.beats[-1].done == uploads.beats[-1].total == len(ITEMS)
    assert f"{len(ITEMS)} of {len(ITEMS)} items read back" in {beat.note for beat in uploads.beats}
    assert max(len(beat.model_dump_json()) for beat in uploads.beats) < 1024


async def test_the_plan_is_stored_and_names_what_is_published() -> None:
    uploads = Uploads(Place())
    await uploads.run()
    [body] = uploads.units.plans.values()
    assert UploadPlan.model_validate_json(body).items == tuple(item.facts for item in ITEMS)
    assert set(uploads.units.outputs) == {unit_key("", URL, item.facts) for item in ITEMS}


async def test_a_second_run_sends_nothing_and_looks_again() -> None:
    uploads = Uploads(Place())
    first = await uploads.run()
    second = await uploads.run("run-2")
    assert uploads.place.puts == IDS
    assert uploads.place.reads == IDS * 2
    assert (second.metrics["units_reused"], second.metrics["items_uploaded"]) == (len(IDS), 0)
    assert second.final_result() == first.final_result()
    # A receipt stays with the run that got it.
    assert {row[0] for row in uploads.receipts.rows.values()} == {"run-1"}


async def test_a_namespace_of_its_own_puts_all_again_and_the_place_writes_none() -> None:
    uploads = Uploads(Place())
    await uploads.run()
    again = await uploads.run("run-2", namespace="fresh")
    assert uploads.place.puts == IDS * 2
    assert again.metrics["units_done"] == len(IDS)
    assert (again.metrics["items_uploaded"], again.metrics["bytes_uploaded"]) == (0, 0)


async def test_only_what_has_changed_is_sent_again() -> None:
    uploads = Uploads(Place())
    await uploads.run()
    uploads.document = TALK_DOCUMENT.model_copy(update={"speaker_names": {"ANN": "Ann Lee"}})
    sent = len(uploads.place.puts)
    await uploads.run("run-2")
    items = items_of(uploads.document, COLLECTION)
    assert uploads.place.kept == {item.id: item.data for item in items}
    old = {item.id: item.digest for item in ITEMS}
    assert uploads.place.puts[sent:] == [item.id for item in items if old[item.id] != item.digest]


@pytest.mark.parametrize(
    "error", [StorageFullError("The disk is full."), DestinationRefusedError("No permission.")]
)
async def test_a_place_that_fails_ends_the_attempt_and_the_next_sends_the_rest(
    error: StopeError,
) -> None:
    uploads = Uploads(Place({"people.jsonl": [error]}))
    with pytest.raises(type(error)):
        await uploads.run()
    assert uploads.place.puts == IDS[:3]
    assert uploads.checkpoint.completed_items == NAMES[:2]
    assert uploads.checkpoint.progress_percent == 100 * 2 // len(IDS)
    assert uploads.place.closed == 1
    outcome = await uploads.run("run-1")
    assert uploads.place.puts == [*IDS[:3], *IDS[2:]]
    assert outcome.status is JobStatus.SUCCEEDED
    assert outcome.metrics["units_reused"] == 2


async def test_a_place_that_takes_nothing_ends_the_attempt_once_three_others_were_tried() -> None:
    uploads = Uploads(Place({"": [None, None, *[AWAY] * 4]}))
    with pytest.raises(DestinationUnavailableError, match="does not answer"):
        await uploads.run()
    assert uploads.place.puts[:3] == IDS[:3]
    assert len(uploads.place.puts) == 3 + 3
    assert uploads.checkpoint.completed_items == NAMES[:2]
    sent = len(uploads.place.puts)
    assert (await uploads.run()).status is JobStatus.SUCCEEDED
    assert uploads.place.puts[sent:] == IDS[2:]


async def test_an_item_that_fails_twice_goes_then_and_nothing_else_goes_twice() -> None:
    uploads = Uploads(Place({"people.jsonl": [AWAY, AWAY]}))
    outcome = await uploads.run()
    assert outcome.status is JobStatus.SUCCEEDED
    times = Counter(uploads.place.puts)
    assert times.pop(f"{COLLECTION}/people.jsonl") == 3
    assert set(times.values()) == {1}


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("name", ["claims.jsonl", "index.json"], ids=["first", "last"])
async def test_an_item_that_always_fails_while_others_go_is_a_gap_with_its_reason(
    name: str, slots: int
) -> None:
    place = Place({name: [AWAY] * 99})
    uploads = Uploads(place)
    outcome = await uploads.run(slots=slots)
    assert outcome.status is JobStatus.SUCCEEDED_WITH_GAPS
    [gap] = outcome.gaps
    assert gap.unit_id == name
    assert re.search(
        r"fails while others do not \(7 times .*: It does not answer; .*--gaps", gap.reason
    )
    assert {item.id for item in ITEMS} - place.kept.keys() == {f"{COLLECTION}/{name}"}
    # Alone it is in no other case than among others.
    place.puts.clear()
    again = await uploads.run("run-2")
    assert [gap.unit_id for gap in again.gaps] == [name]
    assert place.puts.count(f"{COLLECTION}/{name}") == 7
    # The next run that finds it mended sends that one and nothing else.
    uploads.place = Place()
    uploads.place.kept = place.kept
    assert (await uploads.run("run-3")).status is JobStatus.SUCCEEDED
    assert uploads.place.puts == [f"{COLLECTION}/{name}"]


async def test_items_that_are_put_off_too_often_are_gaps_even_if_nothing_else_goes() -> None:
    off = PutOffError("Too many; the upload goes on when it can.", retry_after=0)
    uploads = Uploads(Place({"people.jsonl": [off] * 99}))
    outcome = await uploads.run()
    [gap] = outcome.gaps
    assert gap.reason.endswith(
        "was put off (7 times in 0 s): Too many; `stope retry JOB --gaps` tries it again."
    )
    assert Counter(uploads.place.puts)[f"{COLLECTION}/people.jsonl"] == 7
    with pytest.raises(StageFailedError, match="Too many"):
        await Uploads(Place({"": [off] * 999})).run()


@pytest.mark.parametrize("error", [PutOffError, DestinationUnavailableError])
async def test_an_item_that_is_to_come_back_in_an_hour_is_a_gap_now(
    error: type[DestinationUnavailableError],
) -> None:
    uploads = Uploads(Place({"people.jsonl": [error("Busy.", retry_after=3600)] * 99}))
    outcome = await uploads.run()
    [gap] = outcome.gaps
    assert "now for 3600 s, which is longer than an upload waits" in gap.reason
    assert Counter(uploads.place.puts)[f"{COLLECTION}/people.jsonl"] == 1


@pytest.mark.parametrize(("told", "tries"), [(1200, 1), (None, 7)])
@pytest.mark.parametrize("slots", [1, 4])
async def test_a_place_that_wants_fewer_requests_is_waited_for_and_no_item_is_a_gap(
    told: float | None, tries: int, slots: int
) -> None:
    limit = DestinationRateLimitedError("Fewer of them.", retry_after=told)
    for name in ("people.jsonl", ""):
        uploads = Uploads(Place({name: [limit] * 999}))
        with pytest.raises(DestinationRateLimitedError) as caught:
            await uploads.run(slots=slots)
        assert caught.value.retry_after == told
        assert max(Counter(uploads.place.puts).values()) == tries
        uploads.place._faults.clear()
        assert (await uploads.run(slots=slots)).status is JobStatus.SUCCEEDED
        assert len(uploads.place.kept) == len(IDS)


async def test_fewer_requests_are_wanted_six_times_and_that_counts_for_nothing_then() -> None:
    limit = DestinationRateLimitedError("Fewer of them.")
    people = f"{COLLECTION}/people.jsonl"
    uploads = Uploads(Place({"people.jsonl": [*[limit] * 6, *[AWAY] * 6]}))
    assert (await uploads.run()).status is JobStatus.SUCCEEDED
    # Nobody else was asked whether the place works, before it failed.
    assert uploads.place.puts[2:9] == [people] * 7
    assert uploads.place.puts.count(people) == 13


async def test_what_went_before_an_item_failed_says_nothing_of_the_place_since() -> None:
    """One that goes while another is on its way to fail; then nothing does."""
    first, second, *_ = ITEMS
    went = asyncio.Event()

    class Quota(Place):
        async def put(self, item: Item) -> Receipt:
            if item.id == first.id:
                await went.wait()
            if item.id == second.id and not went.is_set():
                receipt = await super().put(item)
                went.set()
                return receipt
            self.puts.append(item.id)
            raise DestinationUnavailableError("Down for the night.", retry_after=3600)

    uploads = Uploads(Quota())
    with pytest.raises(DestinationUnavailableError, match="Down for the night"):
        await uploads.run(slots=2)


async def test_an_old_answer_to_a_witness_is_not_taken_for_a_new_one() -> None:
    """What was asked of a witness may come while its own turn is on its way with the same."""
    bad, good = ITEMS[:2]
    asked: list[asyncio.Future[str]] = []

    async def ask(item: Item) -> str:
        if item.id == bad.id:
            raise AWAY
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    draining = asyncio.Event()
    patient = patience.ItemPatience(ask, [bad, good], draining=draining, note=lambda _: None)
    trouble = asyncio.create_task(patient.of(bad))

    def questions(number: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return len(asked) >= number

        return reached

    await until(questions(1), "the question to the witness")
    own = asyncio.create_task(patient.of(good))
    await until(questions(2), "its own")
    asked[0].set_result("old")
    await asyncio.sleep(0)
    asked[1].set_result("old")
    assert await own == "old"
    trouble.cancel()
    await asyncio.gather(trouble, return_exceptions=True)
    before = len(asked)
    again = asyncio.create_task(patient.of(good))

    async def settled() -> bool:
        return again.done() or len(asked) > before

    await until(settled, "an answer, or a new question")
    if len(asked) > before:
        asked[-1].set_result("new")
    assert await again == "new"


async def test_a_worker_that_leaves_does_not_wait_for_an_item() -> None:
    off = PutOffError("Too many.", retry_after=600)
    uploads = Uploads(Place({"people.jsonl": [off]}))
    running = asyncio.create_task(uploads.run())
    waits = "Too many; tried again in 600 s"

    async def waiting() -> bool:
        return any(beat.note == waits for beat in uploads.beats)

    await until(waiting, "an item that waits")
    uploads.place.draining.set()
    with pytest.raises(WorkerDrainingError):
        await running


async def test_trouble_with_all_of_a_place_is_not_kept_waiting_by_one_item() -> None:
    off = PutOffError("Too many.", retry_after=600)
    refused = DestinationRefusedError("No permission.")
    uploads = Uploads(Place({"claims.jsonl": [off], "people.jsonl": [refused]}))
    with pytest.raises(DestinationRefusedError):
        await uploads.run(slots=2)
    assert uploads.place.puts.count(f"{COLLECTION}/claims.jsonl") == 1


async def test_what_cannot_be_read_back_is_asked_again_and_then_a_gap() -> None:
    off = PutOffError("It has answered before.")
    uploads = Uploads(Place(unread={"people.jsonl": [off] * 3, "jargon.jsonl": [off] * 99}))
    outcome = await uploads.run()
    assert [gap.unit_id for gap in outcome.gaps] == ["jargon.jsonl"]
    assert "It has answered before" in outcome.gaps[0].reason
    assert uploads.place.puts == IDS
    times = Counter(uploads.place.reads)
    assert times[f"{COLLECTION}/people.jsonl"] == 4
    away = Uploads(Place(unread={"": [AWAY] * 99}))
    with pytest.raises(DestinationUnavailableError):
        await away.run()


async def test_a_receipt_that_was_kept_before_its_unit_is_not_asked_for_again() -> None:
    uploads = Uploads(Place())
    uploads.units.refusal = RecordsBusyError("They are locked.")
    with pytest.raises(RecordsBusyError):
        await uploads.run()
    assert uploads.place.puts == IDS[:1]
    assert not uploads.units.outputs
    uploads.units.refusal = None
    assert (await uploads.run()).status is JobStatus.SUCCEEDED
    assert uploads.place.puts == IDS
    # Whoever puts everything afresh does, and another content is another item.
    await uploads.run("run-2", namespace="fresh")
    assert uploads.place.puts == IDS * 2
    uploads.units.outputs.clear()
    uploads.document = TALK_DOCUMENT.model_copy(update={"speaker_names": {"ANN": "Ann Lee"}})
    uploads.place.puts.clear()
    await uploads.run("run-2", namespace="fresh")
    assert f"{COLLECTION}/transcript.txt" in uploads.place.puts
    assert f"{COLLECTION}/claims.jsonl" not in uploads.place.puts


async def test_a_worker_that_leaves_has_committed_what_it_sent() -> None:
    uploads = Uploads(Place())
    uploads.place.leaving_after = 4
    with pytest.raises(WorkerDrainingError):
        await uploads.run()
    uploads.place.draining.clear()
    await uploads.run()
    assert uploads.place.puts == IDS


async def test_a_worker_that_leaves_while_it_verifies_sends_nothing_twice() -> None:
    uploads = Uploads(Place())
    uploads.place.leaving_after = len(IDS)
    with pytest.raises(WorkerDrainingError, match=f"{len(IDS)} of {len(IDS)} items to verify"):
        await uploads.run()
    assert uploads.checkpoint.stage == "verifying"
    uploads.place.draining.clear()
    assert (await uploads.run()).status is JobStatus.SUCCEEDED
    assert uploads.place.puts == IDS


async def test_one_refused_item_is_a_gap_and_the_others_are_there() -> None:
    uploads = Uploads(Place({"people.jsonl": [REFUSED]}))
    outcome = await uploads.run()
    assert outcome.status is JobStatus.SUCCEEDED_WITH_GAPS
    assert [(gap.stage, gap.unit_id, gap.reason) for gap in outcome.gaps] == [
        ("upload", "people.jsonl", str(REFUSED))
    ]
    assert uploads.checkpoint.completed_items == [name for name in NAMES if "people" not in name]
    assert outcome.result["items_verified"] == len(IDS) - 1
    # The next run sends that one and nothing else.
    uploads.place.puts.clear()
    assert (await uploads.run("run-2")).status is JobStatus.SUCCEEDED
    assert uploads.place.puts == [f"{COLLECTION}/people.jsonl"]


@pytest.mark.parametrize("mishap", list(Mishap))
async def test_an_item_that_is_gone_or_changed_is_put_again_once(mishap: Mishap) -> None:
    uploads = Uploads(Place({"claims.jsonl": [mishap]}))
    outcome = await uploads.run()
    assert outcome.status is JobStatus.SUCCEEDED
    assert outcome.metrics["items_repaired"] == 1
    assert uploads.place.puts == [*IDS, IDS[0]]
    assert uploads.place.kept[IDS[0]] == ITEMS[0].data


@pytest.mark.parametrize(("mishap", "what"), [(Mishap.LOST, "not keep"), (Mishap.CHANGED, "other")])
async def test_an_item_that_does_not_stay_is_a_gap_and_not_completed(
    mishap: Mishap, what: str
) -> None:
    uploads = Uploads(Place({"claims.jsonl": [mishap, mishap]}))
    outcome = await uploads.run()
    assert outcome.status is JobStatus.SUCCEEDED_WITH_GAPS
    [gap] = outcome.gaps
    assert gap.unit_id == "claims.jsonl"
    assert what in gap.reason
    assert uploads.checkpoint.completed_items == NAMES[1:]
    assert uploads.place.puts == [*IDS, IDS[0]]


async def test_something_removed_behind_our_back_is_put_back_by_the_next_run() -> None:
    uploads = Uploads(Place())
    await uploads.run()
    del uploads.place.kept[IDS[3]]
    uploads.place.kept[IDS[4]] = b"edited by hand"
    outcome = await uploads.run("run-2")
    assert uploads.place.kept == {item.id: item.data for item in ITEMS}
    assert uploads.place.puts == [*IDS, IDS[3], IDS[4]]
    assert outcome.metrics["items_repaired"] == 2
    assert uploads.receipts.rows[URL, IDS[3]][0] == "run-2"


async def test_a_place_that_takes_nothing_is_a_failure_not_an_empty_success() -> None:
    with pytest.raises(StageFailedError, match="too large"):
        await Uploads(Place({"l": [REFUSED] * 99, "": [REFUSED] * 99})).run()
    with pytest.raises(StageFailedError, match="Not one of"):
        await Uploads(Place({"": [Mishap.LOST] * 99})).run()


async def test_no_destination_is_said_before_anything_is_made() -> None:
    with pytest.raises(InputError, match="names no destination"):
        await Uploads(Place(), to="").run()


async def test_a_place_that_keeps_records_gets_each_as_an_item_of_its_own() -> None:
    uploads = Uploads(Place(keeps_records=True))
    outcome = await uploads.run()
    items = records_of(TALK_DOCUMENT, COLLECTION)
    assert uploads.place.kept == {item.id: item.data for item in items}
    assert len(uploads.receipts.rows) == outcome.result["items_verified"] == len(items)
    assert outcome.result["location"] == f"{URL}#{COLLECTION}"
    uploads.document = TALK_DOCUMENT.model_copy(update={"speaker_names": {"ANN": "Ann Lee"}})
    uploads.place.puts.clear()
    await uploads.run("run-2")
    records = {name for name in uploads.place.puts if name.count("/") == 2}
    # What Ann said, and nothing else, has another name in it.
    assert {name.split("/")[1] for name in records} == {"evidence", "transcript"}
    assert len(records) == 2


async def test_of_a_place_that_cannot_be_asked_nothing_is_said_but_what_it_took() -> None:
    uploads = Uploads(Place({"claims.jsonl": [Mishap.LOST]}, reads_back=False))
    outcome = await uploads.run()
    assert uploads.place.puts == IDS
    # It is not there, and nobody can know: so nobody says that it is.
    assert IDS[0] not in uploads.place.kept
    assert "items_verified" not in outcome.result
    assert (outcome.result["read_back"], outcome.result["items_taken"]) == (False, len(IDS))
    assert outcome.metrics["items_repaired"] == 0


@pytest.mark.parametrize("reads_back", [True, False])
async def test_content_that_was_replaced_and_comes_back_is_sent_again(reads_back: bool) -> None:
    uploads = Uploads(Place(reads_back=reads_back))
    await uploads.run()
    uploads.document = TALK_DOCUMENT.model_copy(update={"speaker_names": {"ANN": "Ann Lee"}})
    await uploads.run("run-2")
    changed = len(uploads.place.puts) - len(IDS)
    uploads.document = TALK_DOCUMENT
    outcome = await uploads.run("run-3")
    assert uploads.place.kept == {item.id: item.data for item in ITEMS}
    assert outcome.status is JobStatus.SUCCEEDED
    assert outcome.metrics["items_repaired"] == changed > 0
    assert len(uploads.place.puts) == len(IDS) + 2 * changed
    uploads.place.puts.clear()
    await uploads.run("run-4")
    assert uploads.place.puts == []
