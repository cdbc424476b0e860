"""The base of every pipeline: ordered steps, each a child workflow with a job of its own.

A step whose job has its result already is skipped. After each step the pipeline's checkpoint is
written. A pipeline that failed is started again by its id and goes on at the step that failed.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import (
        JobRequest,
        OpenStage,
        SaveStage,
        StageDone,
        StageOpened,
        StageRequest,
    )

from workflows.attributes import start_attributes
from workflows.board import WatchedWorkflow
from workflows.labels import activity_summary, label_of, static_details, title
from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT
from workflows.stage import fail_run, open_run


class Pipeline(WatchedWorkflow):
    """Runs the steps that the opened run names, in order."""

    async def run_steps(self, request: JobRequest) -> StageDone:
        """All steps, then the pipeline's own result."""
        opened = await open_run(request)
        self.board.open(request, JobType.PIPELINE, opened.stages, opened.attempt)
        try:
            for stage in opened.stages:
                await self._step(request, stage)
            done: StageDone = await workflow.execute_activity(
                names.CLOSE_PIPELINE,
                StageRequest(job_id=request.job_id, run_id=workflow.info().run_id),
                result_type=StageDone,
                task_queue=names.ORCHESTRATION_QUEUE,
                start_to_close_timeout=RECORD_TIMEOUT,
                retry_policy=RECORD_RETRY,
                summary=activity_summary(request, "close the pipeline", opened.attempt),
            )
        except FailureError as error:
            raise await fail_run(request, error, self.board) from error
        self.board.end(done.status)
        return done

    async def _step(self, request: JobRequest, stage: JobType) -> None:
        """One step, unless its job has its result; then the checkpoint."""
        opened = await workflow.execute_activity(
            names.OPEN_STAGE,
            OpenStage(pipeline_id=request.job_id, stage=stage),
            result_type=StageOpened,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"open {stage.value}"),
        )
        done = opened.done
        if done is None:
            done = await self._child(request, stage, opened.job_id)
        self.board.finish(stage, opened.job_id, done, kept=opened.done is not None)
        await workflow.execute_activity(
            names.SAVE_STAGE,
            SaveStage(run_id=workflow.info().run_id, stage=stage, stage_job_id=opened.job_id),
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"note {stage.value} in the checkpoint"),
        )

    async def _child(self, request: JobRequest, stage: JobType, job_id: str) -> StageDone:
        """A step as a workflow of its own, with a page of its own."""
        label = label_of(request)
        child_id = f"{request.job_id}/{stage.value}"
        self.board.start(stage, job_id, child_id)
        attributes = start_attributes(stage, label) if request.options.search_attributes else None
        done: StageDone = await workflow.execute_child_workflow(
            names.WORKFLOW_OF_TYPE[stage.value],
            JobRequest(job_id=job_id, options=request.options, source=request.source),
            id=child_id,
            result_type=StageDone,
            task_queue=names.ORCHESTRATION_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            search_attributes=attributes,
            static_summary=title(stage, label),
            static_details=static_details(job_id, label, request.job_id),
        )
        return done
