"""Clearing out: every kept job still answers, every resumable one goes on, the rest is gone."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, literal, select, update

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError
from stope.identity import digest_of
from stope.keeping import collect_garbage
from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import LedgerEntry
from stope.llm.scripted import finished
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.models.keeping import GcReport, KeepPolicy
from stope.models.knowledge import MinedClaims
from stope.records import schema
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.keeping import KeepingRecords
from stope.records.knowledge import KnowledgeRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.records.uses import ARTIFACT, RunUses, Use
from stope.units import Tally, Unit, run_units, stored_plan
from tests.builders import Note, claim_of

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=400)
REQUEST = ChatRequest(
    model="scripted:model",
    messages=(Message(role="user", content="grass"),),
    schema_name="colour",
    answer_schema={"type": "object"},
    max_tokens=50,
)


class Home:
    """A database and an artifact folder with jobs in them, everything of it made long ago."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.scratch = folder / "scratch"
        self.folder = folder / "artifacts"
        self.artifacts = ArtifactStore(self.folder.as_uri())
        self.jobs = JobRecords(database)
        self.done: list[str] = []

    async def add_job(
        self, name: str, kind: JobType = JobType.MINE, parent: str | None = None, digest: str = ""
    ) -> str:
        job = Job(
            id=f"{kind.value}-{name}",
            type=kind,
            input=JobInput(
                kind=InputKind.TRANSCRIPT, digest=digest or digest_of([name]), path="a.txt"
            ),
            config=JobConfig(),
            parent_id=parent,
            status=JobStatus.QUEUED,
            created_at=NOW,
        )
        return (await self.jobs.create(job)).id

    async def add_run(
        self,
        job_id: str,
        status: JobStatus,
        units: range,
        *,
        done: int | None = None,
        ended: datetime = LONG_AGO,
    ) -> str:
        """A run over some units of a shared pool, of which it has done the first few."""
        runs = await self.jobs.runs(job_id)
        run_id = f"{job_id}-{len(runs) + 1}"
        await self.jobs.begin_run(job_id, run_id, job_id)
        await self.work(run_id, units, len(units) if done is None else done)
        if status.has_result:
            mined = MinedClaims(
                transcript_digest=digest_of([job_id]),
                model=run_id,
                segments=len(units),
                claims=(claim_of(f"Said in {job_id}."),),
            )
            digest = await self.of_run(run_id).put_model(mined)
            output_id = f"claims-{digest[:16]}"
            await KnowledgeRecords(self.database).write_claims(output_id, mined)
            result: dict[str, object] = {
                "status": status.value,
                "output_id": output_id,
                "result": {"claims_digest": digest},
            }
            await self.jobs.finish_run(run_id, status, result=result)
        elif status.finished:
            await self.jobs.finish_run(run_id, status, error_code="Trouble", error_message="no")
        await self.database.write(
            update(schema.job_run)
            .where(schema.job_run.c.run_id == run_id)
            .values(created_at=ended, finished_at=ended if status.finished else None)
        )
        return run_id

    def of_run(self, run_id: str) -> ArtifactStore:
        async def use(digests: Sequence[str], name: str) -> None:
            noted = [Use(digest, name) for digest in digests]
            await RunUses(self.database).note(run_id, ARTIFACT, noted)

        return self.artifacts.telling(use)

    async def work(self, run_id: str, units: range, count: int) -> list[str]:
        """Do units as a stage does, at most so many; gives the names of those that were done."""
        store = SqlUnitStore(self.database).of_run(run_id)
        ledger = SqlLedgerStore(self.database)
        draining, began = asyncio.Event(), list[str]()

        async def make() -> Note:
            return Note(text="plan")

        async def do(unit: Unit[int]) -> Note:
            began.append(unit.id)
            if len(began) >= count:
                draining.set()
            entry = await ledger.receive(unit.key, REQUEST, finished(unit.id), run_id)
            await self._book(run_id, entry)
            return Note(text=f"{unit.id} " * 300)

        async def report(_tally: Tally) -> None:
            """Nobody looks."""

        await stored_plan(store, digest_of([run_id, "plan"]), "mine", Note, make)
        if not count:
            draining.set()
        try:
            await run_units(
                [Unit(f"u{number}", digest_of([number]), number) for number in units],
                do,
                stage="mine",
                store=store,
                output=Note,
                concurrency=1,
                report=report,
                draining=draining,
            )
        except Exception:  # the worker is leaving, as it was told
            if not draining.is_set():
                raise
        return began

    async def _book(self, run_id: str, entry: LedgerEntry) -> None:
        await self.database.write(
            update(schema.llm_answer)
            .where(schema.llm_answer.c.id == entry.id)
            .values(run_id=run_id),
            insert(schema.answer_use).values(
                run_id=run_id, answer_id=entry.id, stage="mine", how="paid", created_at=NOW
            ),
        )

    async def age(self) -> None:
        """Everything so far was made long ago."""
        for table in (schema.unit, schema.plan, schema.llm_answer, schema.job):
            await self.database.write(update(table).values(created_at=LONG_AGO))
        for path in (*self.folder.rglob("*"), *self.scratch.rglob("*")):
            os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))

    async def forget_uses(self) -> None:
        """The runs so far are from before uses were noted, as migration 0004 leaves them."""
        runs = select(schema.job_run.c.run_id, *(literal(v) for v in ("any", "", "")))
        await self.database.write(
            schema.run_use.delete(),
            insert(schema.run_use).from_select(["run_id", "kind", "key", "name"], runs),
        )

    async def collect(
        self, days: float = 30, runs: int = 1, *, dry: bool = False, shared: bool = False
    ) -> GcReport:
        policy = KeepPolicy(keep_days=days, keep_runs=runs, dry_run=dry, shared_store=shared)
        return await collect_garbage(self.database, self.artifacts, self.scratch, policy)

    async def count(self) -> dict[str, int]:
        """How much there is of everything."""
        async with self.database.reading() as connection:
            found = {
                table.name: int(
                    await connection.scalar(select(func.count()).select_from(table)) or 0
                )
                for table in schema.metadata.sorted_tables
            }
        stored = (self.folder / "sha256").rglob("*")
        return found | {"files": sum(path.is_file() for path in stored)}

    async def answers(self, job_id: str) -> bool:
        """Whether a job gives its result and the document behind it."""
        result = (await self.jobs.get(job_id)).result or {}
        parts = result.get("result")
        assert isinstance(parts, dict)
        await self.artifacts.get_model(str(parts["claims_digest"]), MinedClaims)
        async with self.database.reading() as connection:
            rows = select(schema.claim).where(schema.claim.c.output_id == result["output_id"])
            return bool((await connection.execute(rows)).all())


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


STATUSES = [status for status in JobStatus if status is not JobStatus.QUEUED]


@pytest.mark.parametrize("seed", range(6))
async def test_kept_jobs_answer_and_resumable_ones_repeat_no_unit(home: Home, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  (no secret)
    kept_runs, last = rng.choice([0, 0, 1, 2]), dict[str, JobStatus]()
    resumable: dict[str, range] = {}
    for number in range(6):
        job_id = await home.add_job(str(number))
        first = rng.randrange(12)
        units = range(first, first + rng.randint(1, 5))
        for _ in range(rng.randint(1, 3)):
            status = rng.choice(STATUSES)
            done = len(units) if status.has_result else rng.randrange(len(units) + 1)
            await home.add_run(job_id, status, units, done=done)
            last[job_id] = status
        if not last[job_id].has_result:
            resumable[job_id] = units
    await home.age()
    before = await home.count()
    units_before = set(await SqlUnitStore(home.database).read_outputs(_keys(range(20))))

    would = await home.collect(runs=kept_runs, dry=True)
    assert await home.count() == before
    did = await home.collect(runs=kept_runs)

    same = {"dry_run", "reclaimed"}
    assert did.model_dump(exclude=same) == would.model_dump(exclude=same)
    left = set(await SqlUnitStore(home.database).read_outputs(_keys(range(20))))
    for job_id, units in resumable.items():
        assert set(_keys(units)) & units_before <= left
        runs = await home.jobs.runs(job_id)
        missing = [f"u{n}" for n in units if digest_of([n]) not in units_before]
        assert await home.work(runs[-1].run_id, units, 99) == missing
        units_before |= set(_keys(units))
        left |= set(_keys(units))
    staying = {job.id for job in await home.jobs.newest(99)}
    expected = set(last) if kept_runs else set(resumable)
    assert staying == expected
    for job_id in staying:
        if last[job_id].has_result:
            assert await home.answers(job_id)
    assert did.jobs.count == before["job"] - len(staying)


async def test_what_only_old_runs_needed_is_gone_and_its_space_with_it(home: Home) -> None:
    old, new = await home.add_job("old"), await home.add_job("new")
    await home.add_run(old, JobStatus.SUCCEEDED, range(8))
    await home.add_run(new, JobStatus.SUCCEEDED, range(6, 10), ended=NOW)
    await home.age()

    report = await home.collect(runs=0)

    assert (report.jobs.count, report.runs.count, report.units.count) == (1, 1, 6)
    assert (report.plans.count, report.artifacts.count) == (1, 1)
    # Of the two units that both need, the old run paid for the answers.
    assert report.answers.count == 8
    assert min(report.units.bytes, report.answers.bytes, report.artifacts.bytes) > 0
    assert report.reclaimed is not None
    assert await home.answers(new)
    count = await home.count()
    assert (count["job"], count["unit"], count["claim"], count["files"]) == (1, 4, 1, 1)


async def test_what_was_made_within_the_hour_stays(home: Home) -> None:
    job_id = await home.add_job("young")
    await home.add_run(job_id, JobStatus.SUCCEEDED, range(3))
    before = await home.count()
    report = await home.collect(runs=0, days=0)
    after = await home.count()
    assert report.jobs.count == 1
    for name in ("unit", "plan", "llm_answer", "files"):
        assert after[name] == before[name]


async def test_runs_from_before_uses_were_noted_keep_what_was_made_until_they_ended(
    home: Home,
) -> None:
    job_id, gone = await home.add_job("old"), await home.add_job("gone")
    await home.add_run(gone, JobStatus.SUCCEEDED, range(20, 24))
    await home.add_run(job_id, JobStatus.FAILED, range(5), done=3)
    await home.age()
    await home.forget_uses()
    before = await home.count()

    report = await home.collect(runs=0)
    after = await home.count()
    assert (report.jobs.count, report.kept_unknown) == (1, 1)
    assert all(after[name] == before[name] for name in ("unit", "plan", "llm_answer", "files"))

    await home.add_run(job_id, JobStatus.SUCCEEDED, range(5))
    await home.database.write(
        schema.job_run.update().values(created_at=LONG_AGO, finished_at=LONG_AGO)
    )
    await home.age()
    assert (await home.collect(runs=1)).kept_unknown == 0
    assert set(await SqlUnitStore(home.database).read_outputs(_keys(range(30)))) == set(
        _keys(range(5))
    )


async def test_a_kept_pipeline_keeps_its_stages_and_a_resumable_job_what_it_works_on(
    home: Home,
) -> None:
    pipeline = await home.add_job("p", JobType.PIPELINE)
    stage = await home.add_job("s", parent=pipeline)
    await home.add_run(stage, JobStatus.SUCCEEDED, range(4))
    await home.add_run(pipeline, JobStatus.FAILED, range(0))
    giver = await home.add_job("g")
    await home.add_run(giver, JobStatus.SUCCEEDED, range(10, 12))
    given = (await home.jobs.get(giver)).result
    assert given is not None
    parts = given["result"]
    assert isinstance(parts, dict)
    taker = await home.add_job("t", digest=str(parts["claims_digest"]))
    await home.add_run(taker, JobStatus.CANCELLED, range(12, 14))
    await home.age()

    report = await home.collect(runs=0)

    assert (report.jobs.count, report.units.count) == (0, 0)
    assert await home.answers(stage)
    assert await home.answers(giver)


async def test_a_run_that_begins_meanwhile_loses_nothing(home: Home) -> None:
    """Whichever comes first, the run has every unit, and every unit it has is committed."""
    for round_ in range(4):
        old = await home.add_job(f"old{round_}")
        units = range(100 * round_, 100 * round_ + 30)
        await home.add_run(old, JobStatus.SUCCEEDED, units)
        await home.age()
        new = await home.add_job(f"new{round_}")
        run_id = f"{new}-run"
        await home.jobs.begin_run(new, run_id, new)
        await asyncio.gather(home.collect(runs=0), home.work(run_id, units, 99))
        found = await SqlUnitStore(home.database).read_outputs(_keys(units))
        assert found.keys() == set(_keys(units))
        await home.jobs.finish_run(run_id, JobStatus.FAILED, error_code="x", error_message="x")


async def test_two_at_once_are_fine(home: Home) -> None:
    for number in range(3):
        job_id = await home.add_job(str(number))
        await home.add_run(job_id, JobStatus.SUCCEEDED, range(5 * number, 5 * number + 5))
    await home.age()
    reports = await asyncio.gather(home.collect(runs=0), home.collect(runs=0))
    assert sum(report.units.count for report in reports) == 15
    assert (await home.count())["unit"] == 0


async def test_scratch_of_runs_that_are_over_goes_and_that_of_open_ones_stays(home: Home) -> None:
    open_job, over = await home.add_job("open"), await home.add_job("over")
    await home.add_run(open_job, JobStatus.RUNNING, range(1))
    await home.add_run(over, JobStatus.FAILED, range(1))
    digests = {name: (await home.jobs.get(name)).input.digest for name in (open_job, over)}
    home.scratch.mkdir()
    for digest in digests.values():
        (home.scratch / f"{digest}.s16").write_bytes(b"12345678")
        (home.scratch / f"{digest}.s16.damage.json").write_text("[]")
    (home.scratch / "notes.txt").write_text("mine")
    half = home.folder / "sha256" / f"{digests[over]}#1"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.touch()
    await home.age()

    report = await home.collect()

    assert (report.scratch.count, report.scratch.bytes) == (3, 10)
    assert not half.exists()
    left = {path.name for path in home.scratch.iterdir()}
    assert left == {
        f"{digests[open_job]}.s16",
        f"{digests[open_job]}.s16.damage.json",
        "notes.txt",
    }


async def test_shared_samples_go_when_no_transcription_can_go_on_with_them(home: Home) -> None:
    paths: dict[str, str] = {}
    for status in (JobStatus.RUNNING, JobStatus.FAILED, JobStatus.SUCCEEDED):
        job_id = await home.add_job(status.value, JobType.TRANSCRIBE)
        await home.add_run(job_id, status, range(1))
        paths[status.value] = f"samples/{job_id}/{digest_of([status])}.s16"
    paths["nobody's"] = f"samples/transcribe-other/{digest_of(['other'])}.s16"
    for path in (*paths.values(), "samples/notes.txt"):
        await home.artifacts.write_named(path, b"12345678")
    await home.age()
    paths["young"] = f"samples/transcribe-succeeded/{digest_of(['young'])}.s16"
    await home.artifacts.write_named(paths["young"], b"12345678")
    # Records of somebody else may know the job that we do not.
    await home.artifacts.write_named("owners/other", b"another machine")

    report = await home.collect(shared=True)

    assert (report.scratch.count, report.scratch.bytes) == (1, 8)
    del paths["succeeded"]
    left = set(await home.artifacts.list_named("samples"))
    assert left == {*paths.values(), "samples/notes.txt"}

    await home.artifacts.delete_named("owners/other")
    assert (await home.collect(dry=True)).scratch.count == 1
    assert (await home.collect()).scratch.count == 1
    del paths["nobody's"]
    left = set(await home.artifacts.list_named("samples"))
    assert left == {*paths.values(), "samples/notes.txt"}


async def test_what_is_needed_again_by_the_time_it_would_go_stays(home: Home) -> None:
    job_id = await home.add_job("j")
    digest = await home.artifacts.put(b"needed again")
    other = await home.artifacts.put(b"never again")
    await home.jobs.begin_run(job_id, "run", job_id)
    await home.of_run("run").get(digest)
    dropped = await KeepingRecords(home.database).drop_artifacts(
        [digest, other], frozenset(), home.artifacts.delete
    )
    assert dropped == {other}
    assert await home.artifacts.get(digest) == b"needed again"
    with pytest.raises(ArtifactError, match="gone"):
        await home.artifacts.get(other)


async def test_artifacts_go_a_few_at_a_time_while_everything_else_goes_on(home: Home) -> None:
    digests = [await home.artifacts.put(f"never again {n}".encode()) for n in range(120)]
    alive, loop, batches = threading.Event(), asyncio.get_running_loop(), list[int]()

    def remove(some: Sequence[str]) -> None:
        loop.call_soon_threadsafe(alive.set)
        assert alive.wait(10), "nothing else could go on meanwhile"
        alive.clear()
        batches.append(len(some))
        home.artifacts.delete(some)

    dropped = await KeepingRecords(home.database).drop_artifacts(digests, frozenset(), remove)
    assert dropped == set(digests)
    assert sum(batches) == 120
    assert max(batches) <= 50


async def test_a_job_that_starts_from_an_artifact_keeps_it(home: Home) -> None:
    digest = await home.artifacts.put(b"an input by now")
    await home.add_job("taker", digest=digest)
    records = KeepingRecords(home.database)
    assert not await records.drop_artifacts([digest], frozenset(), home.artifacts.delete)
    assert await home.artifacts.get(digest) == b"an input by now"


async def test_the_copy_of_an_input_stays_with_its_job_and_is_not_read_for_that(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "input"
    digests = []
    for content in (b"RIFF kept " * 200, b"RIFF gone " * 200):
        file.write_bytes(content)
        digests.append(await home.artifacts.put_file(file, compress=False))
    await home.add_job("taker", digest=digests[0])
    await home.age()
    read: list[str] = []

    async def get(digest: str, _name: str = "") -> bytes:
        read.append(digest)
        return b""

    monkeypatch.setattr(home.artifacts, "get", get)
    assert (await home.collect()).artifacts.count == 1
    assert [await home.artifacts.exists(digest) for digest in digests] == [True, False]
    assert read == []


async def test_named_objects_are_nobodys_garbage(home: Home) -> None:
    await home.artifacts.write_named("runs/5f1c/checkpoint.json", b"{}")
    await home.age()
    await home.collect()
    assert await home.artifacts.read_named("runs/5f1c/checkpoint.json") == b"{}"


async def test_space_is_given_back_when_it_stops_no_run(home: Home, engine: str) -> None:
    job_id = await home.add_job("busy")
    run_id = await home.add_run(job_id, JobStatus.RUNNING, range(1))
    # PostgreSQL lets others write meanwhile.
    assert ((await home.collect()).reclaimed is None) == (engine == "sqlite")
    await home.jobs.finish_run(run_id, JobStatus.FAILED, error_code="x", error_message="x")
    assert (await home.collect()).reclaimed is not None


async def test_large_checkpoints_are_looked_through_a_few_at_a_time(home: Home) -> None:
    job_id, needed = await home.add_job("large"), digest_of(["needed"])
    for number in range(200):
        run_id = f"run-{number}"
        await home.jobs.begin_run(job_id, run_id, job_id)
        body: dict[str, object] = {"text": "x" * 200_000, "named": needed if number == 7 else ""}
        await home.jobs.write_checkpoint(run_id, 1, 1, body)
    tracemalloc.start()
    try:
        sweep = await KeepingRecords(home.database).sweep(KeepPolicy(dry_run=True), NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert needed in sweep.needed
    assert len(sweep.kept.runs) == 200
    assert peak < 25_000_000


async def test_units_plans_and_answers_from_before_compression_are_read(
    database: Database,
) -> None:
    await database.write(
        insert(schema.unit).values(
            key="k", stage="mine", output=b'{"text":"old"}' * 99, seconds=1, created_at=NOW
        ),
        insert(schema.plan).values(key="k", stage="mine", body=b"[1]" * 400, created_at=NOW),
    )
    store = SqlUnitStore(database)
    assert (await store.read_outputs(["k"]))["k"] == '{"text":"old"}' * 99
    assert await store.read_plan("k") == "[1]" * 400
    ledger = SqlLedgerStore(database)
    entry = await ledger.receive("r", REQUEST, finished("so " * 900), "mine-1")
    stored = select(schema.llm_answer.c.content)
    assert len((await database.fetch(stored))[0].content) < 900
    found = await ledger.find("r", LONG_AGO)
    assert found is not None
    assert found.answer.content == entry.answer.content == "so " * 900
    await database.write(update(schema.llm_answer).values(content=b"so " * 900))
    found = await ledger.find("r", LONG_AGO)
    assert found is not None
    assert found.answer.content == "so " * 900


def _keys(numbers: range) -> list[str]:
    return [digest_of([number]) for number in numbers]
