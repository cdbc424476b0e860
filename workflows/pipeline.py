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
        RunOptions,
        SaveStage,
        StageDone,
        StageOpened,
        StageRequest,
    )

from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT
from workflows.stage import fail_run, open_run


class Pipeline:
    """Runs the steps that the opened run names, in order."""

    async def run_steps(self, request: JobRequest) -> StageDone:
        """All steps, then the pipeline's own result."""
        opened = await open_run(request)
        try:
            for stage in opened.stages:
                await self._step(request.job_id, stage, request.options)
            done: StageDone = await workflow.execute_activity(
                names.CLOSE_PIPELINE,
                StageRequest(job_id=request.job_id, run_id=workflow.info().run_id),
                result_type=StageDone,
                task_queue=names.ORCHESTRATION_QUEUE,
                start_to_close_timeout=RECORD_TIMEOUT,
                retry_policy=RECORD_RETRY,
            )
            return done
        except FailureError as error:
            raise await fail_run(error) from error

    async def _step(self, pipeline_id: str, stage: JobType, options: RunOptions) -> None:
        """One step, unless its job has its result; then the checkpoint."""
        opened = await workflow.execute_activity(
            names.OPEN_STAGE,
            OpenStage(pipeline_id=pipeline_id, stage=stage),
            result_type=StageOpened,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )
        if opened.done is None:
            await workflow.execute_child_workflow(
                names.WORKFLOW_OF_TYPE[stage.value],
                JobRequest(job_id=opened.job_id, options=options),
                id=f"{pipeline_id}/{stage.value}",
                result_type=StageDone,
                task_queue=names.ORCHESTRATION_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"{stage.value} for {pipeline_id}",
            )
        await workflow.execute_activity(
            names.SAVE_STAGE,
            SaveStage(run_id=workflow.info().run_id, stage=stage, stage_job_id=opened.job_id),
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )
