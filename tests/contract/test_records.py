"""The records keep their promises on SQLite, on PostgreSQL, and in memory where tests use that."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from stope.errors import UsageError
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.ledger import LedgerStore
from stope.llm.scripted import finished
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.units import UnitStore
from tests.memory import MemoryLedgerStore, MemoryUnitStore

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=10_000)
RESULT: dict[str, object] = {"status": "succeeded", "output_id": "claims-1", "result": {"n": 1}}
REQUEST = ChatRequest(
    model="scripted:model",
    messages=(Message(role="user", content="grass"),),
    schema_name="colour",
    answer_schema={"type": "object"},
    max_tokens=50,
)
with_memory = pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"], indirect=True)


@pytest.fixture
def units(engine: str, request: pytest.FixtureRequest) -> UnitStore:
    if engine == "memory":
        return MemoryUnitStore()
    return SqlUnitStore(request.getfixturevalue("database"))


@pytest.fixture
def ledger(engine: str, request: pytest.FixtureRequest) -> LedgerStore:
    if engine == "memory":
        return MemoryLedgerStore()
    return SqlLedgerStore(request.getfixturevalue("database"))


@pytest.fixture
def jobs(database: Database) -> JobRecords:
    return JobRecords(database)


def job_of(name: str = "mine-1", path: str = "/talk.txt", **more: object) -> Job:
    fields: dict[str, object] = {
        "id": name,
        "type": JobType.MINE,
        "input": JobInput(kind=InputKind.TEXT, digest="0" * 64, path=path),
        "config": JobConfig(miner_model="scripted:model"),
        "status": JobStatus.QUEUED,
        "created_at": NOW,
    }
    return Job.model_validate(fields | more)


async def receive(ledger: LedgerStore, content: str, key: str = "k") -> str:
    return (await ledger.receive(key, REQUEST, finished(content), "mine-1")).id


@with_memory
async def test_a_unit_output_is_committed_once_and_a_late_one_does_nothing(
    units: UnitStore,
) -> None:
    await units.commit("key", "mine", '{"text":"first – ü"}', 1.5)
    await units.commit("key", "mine", '{"text":"late"}', 2.5)
    await asyncio.gather(*(units.commit("other", "mine", f"{n}", 0) for n in range(4)))
    found = await units.read_outputs(["key", "absent", "other"])
    assert found.keys() == {"key", "other"}
    assert found["key"] == '{"text":"first – ü"}'
    assert await units.read_outputs([]) == {}


@with_memory
async def test_more_keys_than_a_statement_takes_are_read(units: UnitStore) -> None:
    for number in (0, 1, 499, 500, 1200):
        await units.commit(f"key{number}", "mine", str(number), 0)
    found = await units.read_outputs([f"key{number}" for number in range(1201)])
    assert set(found.values()) == {"0", "1", "499", "500", "1200"}


@with_memory
async def test_a_plan_is_immutable(units: UnitStore) -> None:
    assert await units.read_plan("plan") is None
    await units.write_plan("plan", "mine", '["ä"]')
    await units.write_plan("plan", "mine", '["b"]')
    assert await units.read_plan("plan") == '["ä"]'


@with_memory
async def test_only_one_answer_to_a_request_is_accepted(ledger: LedgerStore) -> None:
    first, second = await receive(ledger, "first"), await receive(ledger, "second")
    await ledger.accept(second)
    await ledger.accept(first)
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert (entry.id, entry.status, entry.answer.content) == (second, "accepted", "second")


@with_memory
async def test_an_accepted_answer_comes_before_an_unjudged_one_before_a_rejected_one(
    ledger: LedgerStore,
) -> None:
    async def status() -> str | None:
        entry = await ledger.find("k", LONG_AGO)
        return entry and entry.status

    assert await status() is None
    accepted, rejected = await receive(ledger, "good"), await receive(ledger, "bad")
    await ledger.reject(rejected, "does not fit")
    assert await status() == "received"
    await ledger.reject(await receive(ledger, "worse"), "does not fit either")
    await ledger.accept(accepted)
    assert await status() == "accepted"


@with_memory
async def test_a_rejected_answer_is_found_only_by_the_run_that_got_it(ledger: LedgerStore) -> None:
    for content in ("bad", "worse"):
        await ledger.reject(await receive(ledger, content), f"{content} does not fit")
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert (entry.status, entry.reason) == ("rejected", "worse does not fit")
    assert await ledger.find("k", NOW + timedelta(days=10_000)) is None
    assert await ledger.find("other", LONG_AGO) is None


@with_memory
@pytest.mark.parametrize("content", ["", "ünï — 🐝", "a\0b", "\ud800"], ids=ascii)
async def test_an_answer_is_kept_whatever_the_model_says(ledger: LedgerStore, content: str) -> None:
    answer = ChatAnswer(
        content=content, finish_reason="stop", prompt_tokens=3, completion_tokens=0, latency=0.5
    )
    await ledger.receive("k", REQUEST, answer, "mine-1")
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert entry.answer == answer


async def test_creating_a_job_again_gives_the_one_that_is_there(jobs: JobRecords) -> None:
    first = await jobs.create(job_of())
    again = await jobs.create(job_of(status=JobStatus.FAILED, created_at=NOW + timedelta(hours=1)))
    assert first == again == job_of() == await jobs.get("mine-1")
    with pytest.raises(UsageError, match="no job 'mine-2'"):
        await jobs.get("mine-2")


async def test_jobs_are_found_by_the_beginning_of_their_id(jobs: JobRecords) -> None:
    for minutes, name in enumerate(("mine-1a", "mine-1b", "mine-2")):
        await jobs.create(job_of(name, created_at=NOW + timedelta(minutes=minutes)))
    assert sorted(await jobs.matching("mine-1")) == ["mine-1a", "mine-1b"]
    assert await jobs.matching("mine_") == await jobs.matching("%") == []
    assert [job.id for job in await jobs.newest(2)] == ["mine-2", "mine-1b"]


async def test_a_namespace_of_its_own_forgets_the_result(jobs: JobRecords) -> None:
    await jobs.create(job_of(status=JobStatus.SUCCEEDED, result=RESULT))
    await jobs.set_namespace("mine-1", "forced")
    job = await jobs.get("mine-1")
    assert (job.namespace, job.status, job.result) == ("forced", JobStatus.QUEUED, None)


async def test_runs_are_numbered_and_a_run_is_opened_once(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    for run_id in ("r1", "r2", "r1"):
        await jobs.begin_run("mine-1", run_id, "mine-1")
    assert [(run.run_id, run.attempt) for run in await jobs.runs("mine-1")] == [
        ("r1", 1),
        ("r2", 2),
    ]
    assert (await jobs.get("mine-1")).status is JobStatus.RUNNING
    assert await jobs.begin_run("mine-1", "r1", "mine-1") == await jobs.get_run("r1")


async def test_runs_that_begin_at_once_draw_different_numbers(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    names = ["r1", "r2", "r3", "r4", "r5"]
    runs = await asyncio.gather(
        *(jobs.begin_run("mine-1", name, "mine-1") for name in [*names, *names])
    )
    assert {run.run_id for run in runs} == set(names)
    assert [run.attempt for run in await jobs.runs("mine-1")] == [1, 2, 3, 4, 5]


async def test_a_checkpoint_of_an_older_attempt_or_version_is_refused(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")

    async def write(attempt: int, version: int) -> bool:
        return await jobs.write_checkpoint("r1", attempt, version, {"at": [attempt, version]})

    written = [await write(*at) for at in [(1, 1), (1, 2), (1, 2), (1, 1), (2, 1), (1, 9), (2, 1)]]
    assert written == [True, True, False, False, True, False, False]
    assert (await jobs.get_run("r1")).checkpoint == {"at": [2, 1]}
    assert await jobs.write_checkpoint("absent", 1, 1, {}) is False


async def test_a_late_failure_does_not_take_a_result_away(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    await jobs.finish_run("r1", JobStatus.SUCCEEDED, result=RESULT, metrics={"calls": 2})
    for late in (JobStatus.FAILED, JobStatus.CANCELLED):
        await jobs.finish_run("r1", late, error_code="Late", error_message="Too late.")
    run, job = await jobs.get_run("r1"), await jobs.get("mine-1")
    assert (run.status, run.metrics, run.error_code) == (JobStatus.SUCCEEDED, {"calls": 2}, None)
    assert (job.status, job.result) == (JobStatus.SUCCEEDED, RESULT)
    assert run.finished_at is not None
    assert run.finished_at >= run.created_at
