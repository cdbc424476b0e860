"""A job waits when it is told to, or at a limit, and goes on where it stood. Nothing is done twice.

On a real server with real records; every history is replayed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.runs import RunActivities
from client import JobClient, JobFailedError, JobPausedError
from stope import names
from stope.errors import BudgetReachedError, ProviderRejectedError, UsageError
from stope.models.job import Job, JobStatus, JobType
from stope.models.messages import OpenRun
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.lab import Lab, becomes, has_status, open_lab

SOON = 120.0
"""Seconds after which what is waited for will not come any more."""


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, temporal, server) as lab:
        yield lab


async def _paused_stage(client: JobClient, lab: Lab) -> Job:
    """A mine job that was paused with its second unit in flight."""
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    job_id = await client.create_job("mine", lab.text())
    await client.start_job(job_id)
    await until(lambda: script.begun("u1"), "the second unit")
    await client.pause(job_id, "The office is closed.")
    await until(script.told_to_stop, "the worker to know", SOON)
    release.set()
    await becomes(client, job_id, JobStatus.PAUSED)
    return await client.job(job_id)


async def test_a_pause_commits_what_is_in_flight_and_holds_the_rest(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client, lab.working():
        job = await _paused_stage(client, lab)
        [run] = await client.runs(job.id)
        assert (run.status, run.error_code, run.error_message) == (
            JobStatus.PAUSED,
            "Paused",
            "The office is closed.",
        )
        assert script.done == ["u0", "u1"]
        with pytest.raises(JobPausedError, match="office is closed"):
            await client.process_job(job.id)
        with pytest.raises(UsageError, match="paused, it has not failed"):
            await client.retry(job.id)
        await client.unpause(job.id)
        result = await client.wait(job.id)
        [run] = await client.runs(job.id)
    assert result["status"] == "succeeded"
    assert script.done == ["u0", "u1", "u2", "u3"]
    assert (run.status, run.error_code, run.error_message) == (JobStatus.SUCCEEDED, None, None)
    assert run.metrics is not None
    # Both attempts at the run count.
    assert (run.metrics["units_done"], run.metrics["units_reused"]) == (4, 0)
    await lab.replays(job.id)


async def test_signals_reach_a_job_while_no_worker_is_there(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client:
        job_id = await client.create_job("mine", lab.text())
        await client.start_job(job_id)
        await client.pause(job_id)
        async with lab.working():
            await becomes(client, job_id, JobStatus.PAUSED)
            assert script.done == []
        await client.resume(job_id)
        assert not await has_status(client, job_id, JobStatus.PAUSED)
        async with lab.working():
            assert (await client.wait(job_id))["status"] == "succeeded"
    assert script.done == ["u0", "u1", "u2", "u3"]
    await lab.replays(job_id)


async def test_a_pipeline_passes_the_pause_to_its_stage(lab: Lab) -> None:
    script = lab.scripts[JobType.FLAGSHIP]
    release = script.hold("u2")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        await client.start_job(job_id)
        await until(lambda: script.begun("u2"), "a unit of the second stage")
        await client.pause(job_id)
        await until(script.told_to_stop, "the worker to know", SOON)
        release.set()
        await becomes(client, job_id, JobStatus.PAUSED)
        stage = (await client.stage_jobs(job_id))[-1]
        assert (stage.type, stage.status) == (JobType.FLAGSHIP, JobStatus.PAUSED)
        assert script.done == ["u0", "u1", "u2"]
        # The stage is let go on by itself; its pipeline goes on with it.
        await client.unpause(stage.id)
        assert (await client.wait(job_id))["status"] == "succeeded"
    assert script.done == ["u0", "u1", "u2", "u3"]
    await lab.replays(job_id, f"{job_id}/mine", f"{job_id}/flagship")


async def test_a_pause_that_comes_at_the_end_of_a_stage_holds_before_the_next(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client:
        job_id = await client.create_job("pipeline", lab.text())
        await client.start_job(job_id)
        await client.pause(job_id)
        async with lab.working():
            await becomes(client, job_id, JobStatus.PAUSED)
            assert script.done == []
            assert await client.stage_jobs(job_id) == []
            await client.unpause(job_id)
            assert (await client.wait(job_id))["status"] == "succeeded"
    await lab.replays(job_id)


async def test_a_limit_pauses_the_stage_and_its_pipeline_until_there_is_a_higher_one(
    lab: Lab,
) -> None:
    script = lab.scripts[JobType.MINE]
    script.errors["u2"] = BudgetReachedError("The next call could pass $1.00.")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        with pytest.raises(JobPausedError, match=r"could pass \$1.00"):
            await client.process_job(job_id, max_usd=1.0, max_tokens=9000)
        [run] = await client.runs(job_id)
        [stage] = await client.stage_jobs(job_id)
        assert (run.status, run.error_code) == (JobStatus.PAUSED, "BudgetReached")
        assert stage.status is JobStatus.PAUSED
        # What was done up to here is on the run of the stage, and on that of the whole.
        [mined] = await client.runs(stage.id)
        for metrics in (mined.metrics, run.metrics):
            assert metrics is not None
            assert metrics["units_done"] == 2
        await client.resume(job_id, max_usd=2.5)
        assert (await client.wait(job_id))["status"] == "succeeded"
        job = await client.job(job_id)
    assert [(item.max_usd, item.max_tokens) for item in script.requests] == [
        (1.0, 9000),
        (2.5, 9000),
    ]
    # The new limit is that of the later stages, and of later starts.
    [judged] = lab.scripts[JobType.FLAGSHIP].requests
    assert (judged.max_usd, job.options.max_usd) == (2.5, 2.5)
    assert script.done == ["u0", "u1", "u2", "u2", "u3"]
    await lab.replays(job_id, f"{job_id}/mine")


async def test_starting_it_again_with_a_limit_goes_on_and_without_one_says_why_it_waits(
    lab: Lab,
) -> None:
    script = lab.scripts[JobType.MINE]
    script.errors["u2"] = BudgetReachedError("The next call could pass 10 tokens.")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        for limit in (10, None):
            with pytest.raises(JobPausedError, match="could pass 10 tokens"):
                await client.process_job(job_id, max_tokens=limit)
        assert (await client.process_job(job_id, max_tokens=20))["status"] == "succeeded"
    assert [item.max_tokens for item in script.requests] == [10, 20]
    assert script.done == ["u0", "u1", "u2", "u2", "u3"]


async def test_a_limit_lets_nothing_go_on_that_a_person_paused_and_holds_afterwards(
    lab: Lab,
) -> None:
    async with lab.client() as client, lab.working():
        job = await _paused_stage(client, lab)
        with pytest.raises(JobPausedError, match="office is closed"):
            await client.process_job(job.id, max_tokens=7)
        await client.resume(job.id)
        await client.wait(job.id)
    assert [item.max_tokens for item in lab.scripts[JobType.MINE].requests] == [None, 7]


async def test_a_limit_of_money_needs_a_price_however_the_job_goes_on(lab: Lab) -> None:
    unpriced = JobClient(lab.settings.model_copy(update={"llm_price": None}), lab.temporal)
    script = lab.scripts[JobType.MINE]
    script.gaps.add("u3")
    async with unpriced as client, lab.working():
        job = await _paused_stage(client, lab)
        for go_on in (client.unpause, client.resume):
            with pytest.raises(UsageError, match=r"price of .* is not known"):
                await go_on(job.id, max_usd=1.0)
        assert await has_status(client, job.id, JobStatus.PAUSED)
        await client.resume(job.id)
        assert (await client.wait(job.id))["status"] == "succeeded_with_gaps"
        with pytest.raises(UsageError, match=r"price of .* is not known"):
            await client.retry(job.id, gaps=True, max_usd=1.0)
        assert (await client.job(job.id)).options.max_usd is None


async def test_an_attempt_whose_workflow_is_gone_is_closed_when_the_next_one_begins(
    lab: Lab,
) -> None:
    async with lab.client() as client, lab.working():
        job = await _paused_stage(client, lab)
        await lab.temporal.get_workflow_handle(job.id).terminate("somebody ended it")
        for _ in range(2):
            await client.create_job_run(job.id)
        await client.resume(job.id)
        assert (await client.wait(job.id))["status"] == "succeeded"
        gone, done, queued = await client.runs(job.id)
    assert (gone.status, gone.error_code) == (JobStatus.FAILED, "Lost")
    assert gone.error_message is not None
    assert gone.error_message.endswith("its workflow was gone when attempt 2 began.")
    assert gone.finished_at is not None
    assert (done.status, queued.status) == (JobStatus.SUCCEEDED, JobStatus.QUEUED)
    assert (queued.error_code, queued.finished_at) == (None, None)


async def test_a_stage_begun_alone_closes_what_its_pipeline_left_and_nothing_that_is_open(
    lab: Lab,
) -> None:
    release = lab.scripts[JobType.MINE].hold("u1")
    opening = RunActivities(lab.services).open_run
    async with lab.client() as client, lab.working():
        whole = await client.create_job("pipeline", lab.text())
        await client.start_job(whole)
        await until(lambda: lab.scripts[JobType.MINE].begun("u1"), "the second unit", SOON)
        [stage] = await client.stage_jobs(whole)
        request = OpenRun(job_id=stage.id, run_id=str(uuid.uuid4()), workflow_id=stage.id)
        for _ in range(2):
            await ActivityEnvironment(lab.temporal).run(opening, request)
        assert [run.status.value for run in await client.runs(stage.id)] == ["running", "running"]
        await lab.temporal.get_workflow_handle(f"{whole}/mine").terminate("somebody ended it")
        third = request.model_copy(update={"run_id": str(uuid.uuid4())})
        for _ in range(2):
            await ActivityEnvironment(lab.temporal).run(opening, third)
        runs = await client.runs(stage.id)
        release.set()
    assert [(run.attempt, run.status.value, run.error_code) for run in runs] == [
        (1, "failed", "Lost"),
        (2, "failed", "Lost"),
        (3, "running", None),
    ]
    assert "when attempt 3 began" in str(runs[0].error_message)


async def test_a_paused_job_can_be_cancelled_and_resumed(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client, lab.working():
        job = await _paused_stage(client, lab)
        await client.cancel(job.id)
        with pytest.raises(JobFailedError):
            await _ended(client, job.id)
        assert await has_status(client, job.id, JobStatus.CANCELLED)
        await client.resume(job.id)
        assert (await client.wait(job.id))["status"] == "succeeded"
    assert script.done == ["u0", "u1", "u2", "u3"]
    await lab.replays(job.id)


async def _ended(client: JobClient, job_id: str) -> None:
    await until(lambda: has_status(client, job_id, JobStatus.CANCELLED), "the end")
    await client.wait(job_id)


async def test_a_job_cancelled_before_anybody_began_it_is_cancelled(lab: Lab) -> None:
    async with lab.client() as client:
        job_id = await client.create_job("mine", lab.text())
        await client.start_job(job_id)
        await client.cancel(job_id)
        assert await has_status(client, job_id, JobStatus.CANCELLED)
        async with lab.working():
            handle = lab.temporal.get_workflow_handle(job_id)
            with pytest.raises(WorkflowFailureError) as caught:
                await handle.result()
            assert isinstance(caught.value.cause, CancelledError)
            assert await has_status(client, job_id, JobStatus.CANCELLED)
            with pytest.raises(UsageError, match="nothing to pause"):
                await client.pause(job_id)
            await client.resume(job_id)
            assert (await client.wait(job_id))["status"] == "succeeded"


async def test_a_stage_that_fails_while_it_is_told_to_wait_has_failed(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    script.errors["u0"] = ProviderRejectedError("No key.")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        with pytest.raises(JobFailedError, match="No key"):
            await client.process_job(job_id)
        [run] = await client.runs(job_id)
        assert run.metrics is not None
        assert run.metrics["units_done"] == 0
        # One action: it goes on and ends well.
        await client.resume(job_id)
        assert (await client.wait(job_id))["status"] == "succeeded"


async def test_the_web_ui_pauses_with_a_signal_that_carries_nothing(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        script = lab.scripts[JobType.MINE]
        release = script.hold("u0")
        job_id = await client.create_job("mine", lab.text())
        await client.start_job(job_id)
        await until(lambda: script.begun("u0"), "the first unit", SOON)
        handle = lab.temporal.get_workflow_handle(job_id)
        await handle.signal(names.PAUSE)
        await until(script.told_to_stop, "the worker to know", SOON)
        release.set()
        await becomes(client, job_id, JobStatus.PAUSED)
        assert (await client.runs(job_id))[0].error_message == "It was paused by hand."
        await handle.signal(names.UNPAUSE)
        await handle.result()
        assert (await client.result(job_id))["status"] == "succeeded"


async def test_somebody_who_stops_waiting_stops_nothing(lab: Lab) -> None:
    release = lab.scripts[JobType.MINE].hold("u1")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        waiting = asyncio.create_task(client.process_job(job_id))
        await until(lambda: lab.scripts[JobType.MINE].begun("u1"), "the second unit")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        joined = asyncio.create_task(client.process_job(job_id))
        release.set()
        assert (await joined)["status"] == "succeeded"
        assert len(await client.runs(job_id)) == 1
