"""Jobs that somebody changes, shares or closes while others are at work on them.

On a real server with real records; every history is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

import jobs.control
from activities.runs import RunActivities
from client import JobClient, JobFailedError
from jobs.session import answering
from stope import names
from stope.errors import (
    BudgetReachedError,
    ProviderRejectedError,
    ServerUnavailableError,
    UsageError,
)
from stope.models.job import Job, JobRun, JobStatus, JobType, JsonObject
from stope.models.messages import (
    FailRun,
    JobRequest,
    Limits,
    RunOptions,
    SaveStage,
    StageDone,
    StageRequest,
)
from stope.models.view import JobView
from stope.records.jobs import JobRecords
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.harness import DONE as STAGE_DONE
from tests.workflows.harness import RecordedActivities, new_id, serving
from tests.workflows.lab import Lab, becomes, has_status, open_lab
from workflows.pausing import BUDGET_REACHED

ALL = ["u0", "u1", "u2", "u3"]
SOON = 120.0
"""Seconds after which what is waited for will not come any more."""

DONE: dict[str, object] = {
    "status": "succeeded",
    "output_id": "mine-by-hand",
    "result": {"claims_digest": "c" * 64},
}


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, temporal, server) as lab:
        yield lab


async def _only(client: JobClient, kind: JobType) -> Job:
    """The one job of a type, once it is there."""
    found: list[Job] = []

    async def there() -> bool:
        found[:] = [job for job in await client.jobs() if job.type is kind]
        return bool(found)

    await until(there, f"a {kind.value} job", SOON)
    return found[0]


@pytest.mark.parametrize("kind", ["mine", "pipeline"])
async def test_a_limit_given_to_a_job_that_runs_holds_from_then_on(lab: Lab, kind: str) -> None:
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job(kind, lab.text())
        await client.start_job(job_id)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        await client.start_job(job_id, max_usd=3.0, max_workers=2)
        await until(script.told_to_stop, "the worker to know", SOON)
        # The same again is nothing new.
        await client.start_job(job_id, max_usd=3.0)
        release.set()
        assert (await client.wait(job_id))["status"] == "succeeded"
        assert len(await client.runs(job_id)) == 1
    assert [(asked.max_usd, asked.max_workers) for asked in script.requests] == [
        (None, None),
        (3.0, 2),
    ]
    # What was in flight is not done twice.
    assert script.done == ALL
    judged = lab.scripts[JobType.FLAGSHIP].requests
    assert [asked.max_usd for asked in judged] == ([3.0] if kind == "pipeline" else [])
    await lab.replays(job_id)


async def test_a_job_that_runs_chains_when_it_is_asked_to_with_the_limits_it_has_by_then(
    lab: Lab,
) -> None:
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        await client.start_job(job_id, max_usd=1.0)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        assert await client.create_job("mine", lab.text(), auto_process=True) == job_id
        await client.resume(job_id, max_usd=2.5)
        release.set()
        await client.wait(job_id)
        judged = await _only(client, JobType.FLAGSHIP)
        await becomes(client, judged.id, JobStatus.SUCCEEDED)
    assert [asked.max_usd for asked in lab.scripts[JobType.FLAGSHIP].requests] == [2.5]
    assert script.done == ALL
    await lab.replays(job_id, judged.id)


async def test_a_pause_that_comes_at_the_very_end_of_a_stage_holds_the_next_of_the_chain(
    lab: Lab,
) -> None:
    script = lab.scripts[JobType.MINE]
    script.ending = asyncio.Event()
    judging = lab.scripts[JobType.FLAGSHIP]
    release = judging.hold("u0")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text(), auto_process=True)
        await until(script.has_all_units, "the end of the units", SOON)
        await client.pause(job_id)
        await until(script.told_to_stop, "the worker to know", SOON)
        script.ending.set()
        judged = await _only(client, JobType.FLAGSHIP)

        async def knows() -> bool:
            # It may hear of the pause before its activity has begun, or while it works.
            paused = (await client.job(judged.id)).status is JobStatus.PAUSED
            return paused or judging.stopped.is_set()

        await until(knows, "the next stage to know", SOON)
        release.set()
        await becomes(client, judged.id, JobStatus.PAUSED)
        assert (await client.job(job_id)).status is JobStatus.SUCCEEDED
        await client.resume(judged.id)
        assert (await client.wait(judged.id))["status"] == "succeeded"
    await lab.replays(job_id, judged.id)


async def test_a_chain_that_could_not_upload_at_its_end_says_so_before_it_begins(lab: Lab) -> None:
    to = {"upload_to": "https://host.example/in"}
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text(), to)
        await client.start_job(job_id, chain=True)
        with pytest.raises(JobFailedError, match="STOPE_UPLOAD_HMAC_KEY"):
            await client.wait(job_id)
        job, [run] = await client.job(job_id), await client.runs(job_id)
    assert (lab.scripts[JobType.MINE].requests, lab.scripts[JobType.MINE].done) == ([], [])
    assert job.status is run.status is JobStatus.FAILED
    assert (run.error_code, run.finished_at is not None) == ("DestinationRefused", True)
    assert "STOPE_UPLOAD_HMAC_KEY" in (run.error_message or "")


async def test_a_stage_is_not_chained_while_its_pipeline_goes_on_with_it(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    async with lab.client() as client, lab.working():
        whole = await client.create_job("pipeline", lab.text())
        await client.start_job(whole)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        stage = await _only(client, JobType.MINE)
        with pytest.raises(UsageError, match=f"is a stage of {whole} just now"):
            await client.start_job(stage.id, chain=True)
        assert not (await client.job(stage.id)).options.chain
        release.set()
        await client.wait(whole)


class AtLimit(RecordedActivities):
    """A stage that meets a limit of a dollar, however late it is told that it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float | None] = []
        self.told = asyncio.Event()

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:
        self.limits.append(request.max_usd)
        if request.max_usd == 1.0:
            await self.told.wait()
            raise ApplicationError("It could pass $1.", type=BUDGET_REACHED, non_retryable=True)
        return STAGE_DONE

    async def begun(self) -> bool:
        return bool(self.limits)


async def test_a_limit_that_is_raised_in_time_is_not_met(temporal: Client) -> None:
    activities = AtLimit()
    job_id = new_id(JobType.MINE)
    async with serving(temporal, activities):
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE["mine"],
            JobRequest(job_id=job_id, options=RunOptions(max_usd=1.0)),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
        )
        await until(activities.begun, "the stage", SOON)
        await handle.signal(names.UNPAUSE, Limits(max_usd=5.0))
        activities.told.set()
        async with asyncio.timeout(SOON):
            await handle.result()
    assert activities.limits == [1.0, 5.0]
    # Nobody was told of a pause.
    assert activities.marked == []


class Unheard(JobClient):
    """Temporal takes none of its signals."""

    async def _signal(self, job: Job, workflow_id: str, name: str, argument: object) -> None:
        raise ServerUnavailableError(f"{name} of {job.id} at {workflow_id} with {argument}")


async def test_a_job_waits_on_when_nobody_heard_that_it_may_go_on(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        script.errors["u1"] = BudgetReachedError("The next call could pass $1.")
        await client.start_job(job_id)
        await becomes(client, job_id, JobStatus.PAUSED)
        before = await client.runs(job_id)
        async with Unheard(lab.settings, lab.temporal) as unheard:
            with pytest.raises(ServerUnavailableError):
                await unheard.resume(job_id)
        assert await client.runs(job_id) == before
        assert await has_status(client, job_id, JobStatus.PAUSED)
        # Somebody died between the two words: the records say that it runs.
        await lab.services.jobs.mark_run(before[0].run_id, JobStatus.RUNNING)
        await client.resume(job_id)
        assert (await client.wait(job_id))["status"] == "succeeded"


async def test_a_redo_in_vain_leaves_the_result_and_goes_on_with_what_it_made(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        first = await client.process_job(job_id)
        script.done.clear()
        script.answer = "second"
        script.errors["u2"] = ProviderRejectedError("No key.")
        await client.redo(job_id)
        with pytest.raises(JobFailedError, match="No key"):
            await client.wait(job_id)
        assert await client.result(job_id) == first
        stage = await _only(client, JobType.MINE)
        assert stage.status is JobStatus.SUCCEEDED
        await client.resume(job_id)
        second = await client.wait(job_id)
    assert second != first
    assert script.done == ["u0", "u1", "u2", "u2", "u3"]


async def test_pipelines_that_share_a_stage_each_get_what_they_asked_for(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    text = lab.text()
    async with lab.client() as client, lab.working():
        kept = await client.create_job("pipeline", text, {"flagship_model": "openai:one"})
        afresh = await client.create_job("pipeline", text, {"flagship_model": "openai:two"})
        await client.start_job(kept)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        stage = await _only(client, JobType.MINE)
        script.answer = "second"
        await client.redo(afresh)

        async def both() -> bool:
            return script.done.count("u1") > 1

        await until(both, "the second unit of both", SOON)
        release.set()
        results = [(await client.wait(job_id))["result"] for job_id in (kept, afresh)]
        runs = await client.runs(stage.id)
        stage = await client.job(stage.id)
    assert [run.status.value for run in runs] == ["succeeded", "succeeded"]
    assert runs[0].result is not None
    assert runs[1].result is not None
    assert runs[0].result != runs[1].result == stage.result
    for result, run in zip(results, runs, strict=True):
        assert isinstance(result, dict)
        assert isinstance(given := (run.result or {})["result"], dict)
        assert result["claims_digest"] == given["claims_digest"]


async def test_an_attempt_that_comes_late_gives_no_result(lab: Lab) -> None:
    release = lab.scripts[JobType.MINE].hold("u3")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.MINE].begun("u3"), "the last unit", SOON)
        [run] = await client.runs(job_id)
        await lab.services.jobs.finish_run(run.run_id, JobStatus.CANCELLED, error_code="x")
        release.set()
        with pytest.raises(JobFailedError, match="was cancelled before this attempt"):
            await client.wait(job_id)
        assert (await client.job(job_id)).result is None


async def test_a_pipelines_stage_that_has_yet_to_close_is_left_to_the_pipeline(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    async with lab.client() as client, lab.working():
        whole = await client.create_job("pipeline", lab.text())
        await client.start_job(whole)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        stage = await _only(client, JobType.MINE)
        [run] = await client.runs(stage.id)
        await lab.services.jobs.finish_run(run.run_id, JobStatus.SUCCEEDED, result=DONE)
        await client.redo(stage.id)
        described = await lab.temporal.get_workflow_handle(f"{whole}/mine").describe()
        release.set()
        found = await client.wait(whole)
        assert (await client.wait(stage.id))["output_id"] != DONE["output_id"]
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert isinstance(found["result"], dict)
    assert found["result"]["claims_digest"] == "c" * 64


async def test_a_link_that_has_yet_to_start_the_next_is_not_ended(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.control, "_CLOSE_SECONDS", 0.0)
    script = lab.scripts[JobType.MINE]
    release = script.hold("u1")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text(), auto_process=True)
        await until(lambda: script.begun("u1"), "the second unit", SOON)
        [run] = await client.runs(job_id)
        await lab.services.jobs.finish_run(run.run_id, JobStatus.SUCCEEDED, result=DONE)
        with pytest.raises(UsageError, match="yet to start the next stage"):
            await client.redo(job_id)
        release.set()
        judged = await _only(client, JobType.FLAGSHIP)
        await becomes(client, judged.id, JobStatus.SUCCEEDED)


async def test_what_was_made_afresh_once_is_not_taken_back_later(lab: Lab) -> None:
    lab.scripts[JobType.FLAGSHIP].gaps.add("u2")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.recording())
        await client.process_job(job_id)
        await client.redo(job_id, "mine")
        await client.wait(job_id)
        options = (await client.job(job_id)).options
        assert (options.redo_from, options.redo_namespace) == (None, "")
        stage = await _only(client, JobType.MINE)
        await client.redo(stage.id)
        await client.wait(stage.id)
        own = (await client.job(stage.id)).namespace
        assert own not in ("", stage.namespace)
        await client.retry(job_id, gaps=True)
        await client.wait(job_id)
        assert (await client.job(stage.id)).namespace == own


async def test_a_checkpoint_of_a_pipeline_that_was_not_written_is_written_again(lab: Lab) -> None:
    records = lab.services.jobs
    async with lab.client() as client:
        whole = await client.create_job("pipeline", lab.text())
        stage = await client.create_job("mine", lab.text())
    run = await records.begin_run(whole, "whole", whole)
    part = await records.begin_run(stage, "part", f"{whole}/mine")
    request = SaveStage(run_id=run.run_id, stage=JobType.MINE, stage_job_id=stage)
    saving = RunActivities(lab.services).save_stage
    with pytest.raises(ApplicationError, match="no result any more"):
        await ActivityEnvironment().run(saving, request)
    await records.finish_run(part.run_id, JobStatus.SUCCEEDED, result=DONE)
    # As somebody does who comes between reading and writing: what is there is newer.
    await records.write_checkpoint(run.run_id, 5, 5, {"stope": {"attempt": 1, "version": 1}})
    with pytest.raises(ApplicationError, match="read and written again") as caught:
        await ActivityEnvironment().run(saving, request)
    assert not caught.value.non_retryable
    await records.write_checkpoint(run.run_id, 5, 6, {"stope": {"attempt": 5, "version": 6}})
    await ActivityEnvironment().run(saving, request)
    written = (await records.get_run(run.run_id)).checkpoint or {}
    assert written["results"] == {"mine": DONE}


async def test_a_run_that_ends_while_somebody_writes_in_it_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = lab.services.jobs
    async with lab.client() as client:
        whole = await client.create_job("pipeline", lab.text())
    run = await records.begin_run(whole, "whole", whole)
    reading = JobRecords.get_run
    reads: list[str] = []

    async def get_run(self: JobRecords, run_id: str) -> JobRun:
        found = await reading(self, run_id)
        reads.append(run_id)
        if len(reads) == 3:
            # After it was read to be ended, somebody is quicker by one write.
            body: JsonObject = {"stope": {"attempt": 1, "version": 1}, "completed_stages": ["mine"]}
            assert await self.write_checkpoint(run_id, 1, 1, body)
        return found

    monkeypatch.setattr(JobRecords, "get_run", get_run)
    request = FailRun(run_id=run.run_id, status=JobStatus.FAILED, code="No", message="It broke.")
    await ActivityEnvironment().run(RunActivities(lab.services).fail_run, request)
    body = (await reading(records, run.run_id)).checkpoint or {}
    assert body["completed_stages"] == ["mine"]
    assert isinstance(meta := body["stope"], dict)
    assert isinstance(error := meta["error"], dict)
    assert error["message"] == "It broke."


def _refused(status: RPCStatusCode) -> RPCError:
    return RPCError("no", status, b"")


async def test_temporals_own_errors_are_ours() -> None:
    for status, kind in [
        (RPCStatusCode.NOT_FOUND, UsageError),
        (RPCStatusCode.UNAVAILABLE, ServerUnavailableError),
        (RPCStatusCode.PERMISSION_DENIED, ServerUnavailableError),
    ]:
        with pytest.raises(kind), answering("It has just ended."):
            raise _refused(status)
    with pytest.raises(ServerUnavailableError), answering():
        raise _refused(RPCStatusCode.NOT_FOUND)


async def test_a_job_that_ends_while_it_is_told_something_is_said_to_have_ended(lab: Lab) -> None:
    class Late(JobClient):
        """Asks in time whether the job runs, and speaks too late."""

        async def _open_workflow(self, job: Job, verb: str) -> str:
            assert verb
            return job.id

    async with Late(lab.settings, lab.temporal) as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        await client.process_job(job_id)
        for tell in (client.pause, client.unpause):
            with pytest.raises(UsageError, match="has just ended"):
                await tell(job_id)


@pytest.mark.parametrize(
    ("status", "comes_back"),
    [(RPCStatusCode.PERMISSION_DENIED, False), (RPCStatusCode.UNAVAILABLE, True)],
)
async def test_who_watches_waits_for_a_server_that_restarts_and_for_no_other(
    lab: Lab, status: RPCStatusCode, comes_back: bool
) -> None:
    class Refused(JobClient):
        asked = 0

        async def _look(self, job_id: str) -> JobView:
            self.asked += 1
            if self.asked == 1:
                raise _refused(status)
            return JobView(job_id=job_id, type=JobType.MINE, status=JobStatus.FAILED)

    async with Refused(lab.settings, lab.temporal) as client:
        watching = client.watch("mine-1", interval=0.0)
        if comes_back:
            assert [view.status.value async for view in watching] == ["failed"]
        else:
            with pytest.raises(ServerUnavailableError, match="does not answer"):
                await anext(watching)
