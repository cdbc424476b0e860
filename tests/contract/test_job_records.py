"""Jobs and their runs in the records: on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from stope.errors import UsageError
from stope.models.checkpoint import MineCheckpoint
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobOptions,
    JobRun,
    JobStatus,
    JobType,
)
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.runs import Standing
from stope.records.schema import job_run
from stope.stage import open_mirror

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
RESULT: dict[str, object] = {"status": "succeeded", "output_id": "claims-1", "result": {"n": 1}}


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


async def test_a_result_from_outside_of_a_namespace_stands_and_is_not_what_was_asked_for(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of(status=JobStatus.SUCCEEDED, result=RESULT))
    assert (await jobs.get("mine-1")).is_done
    for namespace in ("forced", "again"):
        await jobs.set_namespace("mine-1", namespace)
        job = await jobs.get("mine-1")
        assert (job.namespace, job.status, job.result) == (namespace, JobStatus.QUEUED, RESULT)
        # In vain: it answers as before, and is as far from done.
        await jobs.begin_run("mine-1", namespace, "mine-1")
        await jobs.finish_run(namespace, JobStatus.FAILED, error_code="x", error_message="x.")
        job = await jobs.get("mine-1")
        assert (job.status, job.result, job.is_done) == (JobStatus.SUCCEEDED, RESULT, False)
    await jobs.begin_run("mine-1", "r3", "mine-1")
    await jobs.finish_run("r3", JobStatus.SUCCEEDED, result=RESULT | {"output_id": "claims-2"})
    assert (await jobs.get("mine-1")).is_done


async def test_a_run_gives_the_job_its_result_only_in_the_namespace_it_began_in(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    first = await jobs.begin_run("mine-1", "r1", "pipeline-b/mine")
    await jobs.set_namespace("mine-1", "afresh")
    second = await jobs.begin_run("mine-1", "r2", "pipeline-a/mine")
    assert (first.namespace, second.namespace) == ("", "afresh")
    # Begun again after a restart, it still keeps to what it began in.
    assert (await jobs.begin_run("mine-1", "r1", "pipeline-b/mine")).namespace == ""
    assert await jobs.finish_run("r1", JobStatus.SUCCEEDED, result=RESULT)
    run, job = await jobs.get_run("r1"), await jobs.get("mine-1")
    assert (run.status, run.result) == (JobStatus.SUCCEEDED, RESULT)
    assert (job.status, job.result) == (JobStatus.RUNNING, None)
    other = RESULT | {"output_id": "claims-2"}
    assert await jobs.finish_run("r2", JobStatus.SUCCEEDED, result=other)
    job = await jobs.get("mine-1")
    assert (job.status, job.result, job.result_namespace) == (
        JobStatus.SUCCEEDED,
        other,
        "afresh",
    )


@pytest.mark.parametrize("ended", [JobStatus.CANCELLED, JobStatus.FAILED])
async def test_a_late_success_of_a_run_that_was_closed_gives_nothing(
    jobs: JobRecords, ended: JobStatus
) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    assert await jobs.finish_run("r1", ended, error_code="x", error_message="x.")
    await jobs.begin_run("mine-1", "r2", "mine-1")
    assert not await jobs.finish_run("r1", JobStatus.SUCCEEDED, result=RESULT)
    run, job = await jobs.get_run("r1"), await jobs.get("mine-1")
    assert (run.status, run.result, run.error_code) == (ended, None, "x")
    assert (job.status, job.result) == (JobStatus.RUNNING, None)


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


async def test_a_run_that_has_ended_takes_no_more_of_what_was_noted_on_the_way(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    assert await jobs.write_checkpoint("r1", 1, 1, {"at": 1}, unless_ended=True, durable=False)
    assert await jobs.finish_run("r1", JobStatus.FAILED, error_code="x")
    assert not await jobs.write_checkpoint("r1", 2, 2, {"at": 2}, unless_ended=True)
    assert await jobs.write_checkpoint("r1", 2, 2, {"at": "the end"})
    assert (await jobs.get_run("r1")).checkpoint == {"at": "the end"}


async def test_how_a_run_stands_is_known_without_its_mirror(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    assert await jobs.last_attempt("mine-1") == 0
    await jobs.begin_run("mine-1", "r1", "mine-1")
    await jobs.write_checkpoint("r1", 2, 3, {"at": 3})
    assert await jobs.standing("r1") == Standing(JobStatus.RUNNING, 2, 3, is_newest=True)
    # One that waits in the queue has taken nothing over yet.
    await jobs.create_run("mine-1", "mine-1")
    assert await jobs.standing("r1") == Standing(JobStatus.RUNNING, 2, 3, is_newest=True)
    await jobs.begin_run("mine-1", "t2", "mine-1")
    assert await jobs.standing("r1") == Standing(JobStatus.RUNNING, 2, 3, is_newest=False)
    assert await jobs.standing("absent") is None
    assert await jobs.last_attempt("mine-1") == 2
    bare = await jobs.runs("mine-1", mirrors=False)
    assert [run.checkpoint for run in bare] == [None, None]
    assert [run.run_id for run in bare] == [run.run_id for run in await jobs.runs("mine-1")]


async def test_a_mirror_that_is_no_object_does_not_hide_its_run(
    jobs: JobRecords, database: Database, engine: str
) -> None:
    await jobs.create(job_of())
    run = await jobs.begin_run("mine-1", "r1", "mine-1")
    # PostgreSQL takes no text that is not JSON.
    garbage = ["{broken", "\x00"] if engine == "sqlite" else []
    for mirror in ["[1, 2]", '"words"', "7", "null", *garbage]:
        async with database.writing() as connection:
            await connection.execute(
                text(f"UPDATE {job_run.name} SET checkpoint_json = :mirror"),  # noqa: S608  (ours)
                {"mirror": mirror},
            )
        assert await jobs.get_run("r1") == await jobs.last_run("mine-1") == run
        assert await jobs.runs("mine-1") == [run]
        assert await jobs.runs_under("r1") == []
    assert await jobs.write_checkpoint("r1", 1, 1, {"at": 1})
    assert (await jobs.get_run("r1")).checkpoint == {"at": 1}


async def test_a_run_is_lost_only_while_it_is_open(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    for run_id in ("r1", "r2"):
        await jobs.begin_run("mine-1", run_id, "mine-1")
    await jobs.finish_run("r2", JobStatus.CANCELLED, error_code="Cancelled", error_message="No.")
    queued = await jobs.create_run("mine-1", "mine-1")
    for run_id in ("r1", "r2", queued.run_id, "r1"):
        await jobs.lose_run(run_id, "Gone.")
    found = [(run.status.value, run.error_code) for run in await jobs.runs("mine-1")]
    assert found == [("failed", "Lost"), ("cancelled", "Cancelled"), ("queued", None)]


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


async def test_a_failure_that_comes_together_with_the_result_does_not_take_it_away(
    database: Database,
) -> None:
    class Slow(JobRecords):
        """Between its look at the run and its write, the result comes in."""

        async def get_run(self, run_id: str) -> JobRun:
            run = await super().get_run(run_id)
            await JobRecords(database).finish_run(run_id, JobStatus.SUCCEEDED, result=RESULT)
            return run

    jobs = JobRecords(database)
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    await Slow(database).finish_run("r1", JobStatus.FAILED, error_code="Late", error_message="x.")
    assert (await jobs.get("mine-1")).status is JobStatus.SUCCEEDED


async def test_a_late_failure_of_an_older_run_does_not_hide_the_newer_ones_result(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    await jobs.begin_run("mine-1", "r2", "mine-1")
    await jobs.finish_run("r2", JobStatus.SUCCEEDED, result=RESULT)
    await jobs.finish_run("r1", JobStatus.FAILED, error_code="Late", error_message="Too late.")
    assert [run.status.value for run in await jobs.runs("mine-1")] == ["failed", "succeeded"]
    assert (await jobs.get("mine-1")).status is JobStatus.SUCCEEDED


async def test_a_late_result_with_gaps_does_not_replace_a_newer_one_without(
    jobs: JobRecords,
) -> None:
    whole, poorer = RESULT | {"output_id": "claims-2"}, RESULT | {"status": "succeeded_with_gaps"}
    with_gaps = JobStatus.SUCCEEDED_WITH_GAPS
    await jobs.create(job_of())
    for run_id in ("r1", "r2", "r3"):
        await jobs.begin_run("mine-1", run_id, "mine-1")
    await jobs.finish_run("r2", JobStatus.SUCCEEDED, result=whole)
    assert await jobs.finish_run("r1", with_gaps, result=poorer)
    job = await jobs.get("mine-1")
    assert (job.status, job.result) == (JobStatus.SUCCEEDED, whole)
    assert (await jobs.get_run("r1")).result == poorer
    # What was done later is the job's, gaps or not.
    await jobs.finish_run("r3", with_gaps, result=poorer)
    assert (await jobs.get("mine-1")).status is with_gaps


async def test_the_mirror_goes_on_when_another_activity_has_the_run_and_fences_the_one_before(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    opened = await jobs.begin_run("mine-1", "r1", "mine-1")
    second = open_mirror(jobs, opened, 2)
    await second.write(MineCheckpoint(stage="mining"))
    # As after a pause: the attempts of the new activity begin at one again.
    third = open_mirror(jobs, await jobs.get_run("r1"), 1)
    await third.write(MineCheckpoint(stage="storing"))
    await second.write(MineCheckpoint(stage="mining"))
    checkpoint = (await jobs.get_run("r1")).checkpoint
    assert checkpoint is not None
    assert checkpoint["stage"] == "storing"


async def test_opening_a_finished_run_again_changes_nothing(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "r1", "mine-1")
    await jobs.finish_run("r1", JobStatus.SUCCEEDED, result=RESULT)
    await jobs.begin_run("mine-1", "r1", "mine-1")
    assert (await jobs.get("mine-1")).status is JobStatus.SUCCEEDED


async def test_a_run_that_waits_is_begun_in_its_turn(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    first, second = [await jobs.create_run("mine-1", "mine-1") for _ in range(2)]
    assert [(run.attempt, run.status, run.temporal_run_id) for run in (first, second)] == [
        (1, JobStatus.QUEUED, None),
        (2, JobStatus.QUEUED, None),
    ]
    assert await jobs.last_run("mine-1") == first
    begun = [await jobs.begin_run("mine-1", name, "p/mine") for name in ("t1", "t1", "t2", "t3")]
    assert [run.run_id for run in begun] == [first.run_id, first.run_id, second.run_id, "t3"]
    assert (begun[0].workflow_id, begun[0].temporal_run_id) == ("p/mine", "t1")
    assert [run.attempt for run in await jobs.runs("mine-1")] == [1, 2, 3]


async def test_waiting_runs_are_each_begun_by_one_of_many_at_once(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    waiting = [(await jobs.create_run("mine-1", "mine-1")).run_id for _ in range(3)]
    names = ["t1", "t2", "t3", "t4"]
    begun = await asyncio.gather(
        *(jobs.begin_run("mine-1", name, "mine-1") for name in [*names, *names])
    )
    by_name = {run.temporal_run_id: run.run_id for run in begun}
    assert set(waiting) < set(by_name.values())
    assert len(set(by_name.values())) == len(names)


async def test_a_run_that_waits_hides_nothing_of_the_one_that_was_begun(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "t1", "mine-1")
    await jobs.create_run("mine-1", "mine-1")
    await jobs.finish_run("t1", JobStatus.FAILED, error_code="Late", error_message="Too late.")
    assert (await jobs.get("mine-1")).status is JobStatus.FAILED
    last = await jobs.last_run("mine-1")
    assert last is not None
    assert last.run_id == "t1"


async def test_a_pause_is_on_run_and_job_and_never_on_a_finished_one(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "t1", "mine-1")
    await jobs.mark_run("t1", JobStatus.PAUSED, code="Paused", message="Wait.")
    run = await jobs.get_run("t1")
    assert (run.status, run.error_code, run.error_message) == (JobStatus.PAUSED, "Paused", "Wait.")
    assert (await jobs.get("mine-1")).status is JobStatus.PAUSED
    await jobs.mark_run("t1", JobStatus.RUNNING)
    assert (await jobs.get_run("t1")).error_message is None
    await jobs.finish_run("t1", JobStatus.SUCCEEDED, result=RESULT)
    await jobs.mark_run("t1", JobStatus.PAUSED)
    assert (await jobs.get("mine-1")).status is JobStatus.SUCCEEDED


async def test_a_checkpoint_of_ones_own_is_taken_unless_the_run_writes_its_own(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    run = await jobs.create_run("mine-1", "mine-1")
    await jobs.save_checkpoint(run.run_id, {"progress": 50})
    assert (await jobs.get_run(run.run_id)).checkpoint == {"progress": 50}
    await jobs.begin_run("mine-1", "t1", "mine-1")
    # It is not what the run begins with, however much it looks like a checkpoint of ours.
    assert (await jobs.get_run(run.run_id)).checkpoint is None
    with pytest.raises(UsageError, match="is running and writes its own"):
        await jobs.save_checkpoint(run.run_id, {})
    assert await jobs.write_checkpoint(run.run_id, 1, 1, {"stage": "mining"})
    with pytest.raises(UsageError, match="no run"):
        await jobs.save_checkpoint("absent", {})


async def test_a_failed_attempt_keeps_the_result_and_the_metrics_there_are(
    jobs: JobRecords,
) -> None:
    await jobs.create(job_of())
    await jobs.begin_run("mine-1", "t1", "mine-1")
    await jobs.finish_run("t1", JobStatus.SUCCEEDED, result=RESULT)
    await jobs.requeue("mine-1", "t2", again=True)
    assert (await jobs.get("mine-1")).status is JobStatus.QUEUED
    await jobs.begin_run("mine-1", "t2", "mine-1")
    await jobs.note_metrics("t2", {"units_done": 3})
    await jobs.finish_run("t2", JobStatus.FAILED, error_code="x", error_message="x.")
    job, run = await jobs.get("mine-1"), await jobs.get_run("t2")
    assert (job.status, job.result) == (JobStatus.SUCCEEDED, RESULT)
    assert (run.status, run.metrics) == (JobStatus.FAILED, {"units_done": 3})


async def test_a_job_that_nobody_began_can_be_given_up(jobs: JobRecords) -> None:
    for name in ("mine-1", "mine-2"):
        await jobs.create(job_of(name))
    await jobs.begin_run("mine-2", "t2", "mine-2")
    await jobs.give_up("mine-1", "t1")
    await jobs.give_up("mine-2", "t2")
    statuses = [(await jobs.get(name)).status for name in ("mine-1", "mine-2")]
    assert statuses == [JobStatus.CANCELLED, JobStatus.RUNNING]


async def test_how_a_job_is_worked_on_is_kept_with_it(jobs: JobRecords) -> None:
    await jobs.create(job_of())
    assert (await jobs.get("mine-1")).options == JobOptions()
    wanted = JobOptions(max_workers=3, max_usd=1.5, chain=True, redo_from=JobType.MINE)
    await jobs.set_options("mine-1", wanted)
    assert (await jobs.get("mine-1")).options == wanted
