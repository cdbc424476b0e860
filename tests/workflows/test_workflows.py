"""What workflows ask for, in which order, and how they end. Each history is replayed."""

from __future__ import annotations

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer

from stope import names
from stope.models.job import JobStatus, JobType
from stope.models.messages import JobRequest, StageDone
from tests.waiting import until
from tests.workflows.harness import DONE, RecordedActivities, new_id, serving
from worker import WORKFLOWS


async def _run(client: Client, job_id: str, job_type: JobType) -> StageDone:
    result: StageDone = await client.execute_workflow(
        names.WORKFLOW_OF_TYPE[job_type.value],
        JobRequest(job_id=job_id),
        id=job_id,
        task_queue=names.ORCHESTRATION_QUEUE,
        result_type=StageDone,
    )
    return result


async def _replay(client: Client, workflow_id: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


async def test_pipeline_runs_its_stages_in_order_as_children(temporal: Client) -> None:
    activities = RecordedActivities()
    job_id = new_id(JobType.PIPELINE)
    async with serving(temporal, activities):
        assert await _run(temporal, job_id, JobType.PIPELINE) == DONE
    assert activities.asked == [
        f"open_run {job_id}",
        *("open_stage transcribe", "open_run transcribe-1", "transcribe_audio"),
        "save_stage transcribe",
        *("open_stage mine", "open_run mine-1", "mine_transcript", "save_stage mine"),
        *("open_stage flagship", "open_run flagship-1", "evaluate_claims", "save_stage flagship"),
        f"close_pipeline {job_id}",
    ]
    for workflow_id in (job_id, f"{job_id}/transcribe", f"{job_id}/mine", f"{job_id}/flagship"):
        await _replay(temporal, workflow_id)


async def test_finished_stages_are_skipped_but_stand_in_the_checkpoint(temporal: Client) -> None:
    activities = RecordedActivities(finished=(JobType.TRANSCRIBE, JobType.MINE))
    job_id = new_id(JobType.PIPELINE)
    async with serving(temporal, activities):
        await _run(temporal, job_id, JobType.PIPELINE)
    assert "transcribe_audio" not in activities.asked
    assert "mine_transcript" not in activities.asked
    assert [item for item in activities.asked if item.startswith("save_stage")] == [
        "save_stage transcribe",
        "save_stage mine",
        "save_stage flagship",
    ]
    await _replay(temporal, job_id)


async def test_a_permanent_failure_closes_the_run_with_its_sentence(temporal: Client) -> None:
    def stage(name: str) -> StageDone:
        if name == "mine":
            raise ApplicationError("No key.", type="ProviderRejected", non_retryable=True)
        return DONE

    activities = RecordedActivities(stage=stage)
    job_id = new_id(JobType.PIPELINE)
    async with serving(temporal, activities):
        with pytest.raises(WorkflowFailureError):
            await _run(temporal, job_id, JobType.PIPELINE)
    assert "evaluate_claims" not in activities.asked
    # The stage's run and the pipeline's both say what happened, in the same words.
    assert [(item.status, item.code, item.message) for item in activities.failed] == [
        (JobStatus.FAILED, "ProviderRejected", "No key.")
    ] * 2
    await _replay(temporal, job_id)
    await _replay(temporal, f"{job_id}/mine")


async def test_a_transient_failure_is_tried_again(temporal: Client) -> None:
    attempts: list[str] = []

    def stage(name: str) -> StageDone:
        attempts.append(name)
        if len(attempts) == 1:
            raise ApplicationError("Busy.", type="RecordsBusy")
        return DONE

    activities = RecordedActivities(stage=stage)
    job_id = new_id(JobType.MINE)
    async with serving(temporal, activities):
        assert await _run(temporal, job_id, JobType.MINE) == DONE
    assert attempts == ["mine", "mine"]
    assert not activities.failed
    await _replay(temporal, job_id)


async def test_a_cancelled_job_is_closed_as_cancelled(temporal: Client) -> None:
    def stage(_name: str) -> StageDone:
        raise ApplicationError("Not yet.", type="ProviderUnavailable")

    activities = RecordedActivities(stage=stage)
    job_id = new_id(JobType.MINE)
    async with serving(temporal, activities):
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE["mine"],
            JobRequest(job_id=job_id),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
        )

        async def tried() -> bool:
            return "mine_transcript" in activities.asked

        await until(tried, "a first attempt")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    assert [item.status for item in activities.failed] == [JobStatus.CANCELLED]
    await _replay(temporal, job_id)
