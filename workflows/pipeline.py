"""The base of every pipeline: ordered steps, each a child workflow with a job of its own.

A step whose job has its result already is skipped. After each step the pipeline's checkpoint is
written. A pipeline that failed is started again by its id and goes on at the step that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import (
        Changes,
        JobRequest,
        Limits,
        OpenStage,
        SaveStage,
        StageDone,
        StageOpened,
        StageRequest,
    )

from workflows.labels import activity_summary, label_of, static_details, title
from workflows.pausing import PausableWorkflow
from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT, beat_timeout, task_timeout
from workflows.stage import fail_run, open_run, run_id_of


class Pipeline(PausableWorkflow):
    """Runs the steps that the opened run names, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._child: workflow.ChildWorkflowHandle[object, StageDone] | None = None

    async def run_steps(self, request: JobRequest) -> StageDone:
        """All steps, then the pipeline's own result."""
        opened = await open_run(request)
        run_id = run_id_of(opened)
        self.board.open(request, JobType.PIPELINE, opened.stages, opened.attempt)
        try:
            for stage in opened.stages:
                await self.wait_while_paused(request, run_id)
                await self._step(request, run_id, stage, _namespace(request, stage, opened.stages))
            done: StageDone = await workflow.execute_activity(
                names.CLOSE_PIPELINE,
                StageRequest(job_id=request.job_id, run_id=run_id),
                result_type=StageDone,
                task_queue=names.ORCHESTRATION_QUEUE,
                start_to_close_timeout=RECORD_TIMEOUT,
                heartbeat_timeout=beat_timeout(request.options),
                retry_policy=RECORD_RETRY,
                summary=activity_summary(request, "close the pipeline", opened.attempt),
            )
        except (FailureError, asyncio.CancelledError) as error:
            raise await fail_run(request, run_id, error, self.board) from error
        self.board.end(done.status)
        return done

    @workflow.signal(name=names.REPORT_PAUSE, description="A stage waits, or ('') it goes on.")
    def report_pause(self, message: str) -> None:
        """Show it. A stage that goes on ends the pause of the whole."""
        if message:
            self.board.pause(message)
        else:
            self.pausing = None
            self.board.resume()

    async def pass_on_pause(self, message: str) -> None:
        """Pause the running step; one that is about to end leaves the pause to us."""
        await self._signal_child(names.PAUSE, message)

    async def pass_on_unpause(self, limits: Limits) -> None:
        """Let the running step go on."""
        await self._signal_child(names.UNPAUSE, limits)

    async def pass_on_changes(self, changes: Changes) -> None:
        """Tell the running step."""
        await self._signal_child(names.CHANGE, changes.model_copy(update={"chain": None}))

    async def _signal_child(self, name: str, argument: str | Limits) -> None:
        if self._child is None:
            return
        try:
            await self._child.signal(name, argument)
        except FailureError as error:
            workflow.logger.info("the step has ended before it was told to %s: %s", name, error)

    async def _step(self, request: JobRequest, run_id: str, stage: JobType, namespace: str) -> None:
        """One step, unless its job has its result; then the checkpoint."""
        opened = await workflow.execute_activity(
            names.OPEN_STAGE,
            OpenStage(
                pipeline_id=request.job_id,
                stage=stage,
                namespace=namespace,
                retry_gaps=request.options.retry_gaps,
            ),
            result_type=StageOpened,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"open {stage.value}"),
        )
        done = opened.done
        if done is None:
            done = await self._child_done(request, run_id, stage, opened.job_id)
        self.board.finish(stage, opened.job_id, done, kept=opened.done is not None)
        await workflow.execute_activity(
            names.SAVE_STAGE,
            SaveStage(
                run_id=run_id,
                stage=stage,
                stage_job_id=opened.job_id,
                stage_run_id=done.run_id,
            ),
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"note {stage.value} in the checkpoint"),
        )

    async def _child_done(
        self, request: JobRequest, run_id: str, stage: JobType, job_id: str
    ) -> StageDone:
        """A step as a workflow of its own, with a page of its own."""
        label = label_of(request)
        child_id = f"{request.job_id}/{stage.value}"
        self.board.start(stage, job_id, child_id)
        # What a chain would start is this pipeline's own next step.
        options = self.options_now(request).model_copy(update={"chain": False})
        self._child = await workflow.start_child_workflow(
            names.WORKFLOW_OF_TYPE[stage.value],
            JobRequest(
                job_id=job_id, options=options, source=request.source, pipeline_run_id=run_id
            ),
            id=child_id,
            result_type=StageDone,
            task_queue=names.ORCHESTRATION_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=task_timeout(request.options.heartbeat_timeout),
            search_attributes=self.board.child_attributes(stage, label),
            static_summary=title(stage, label),
            static_details=static_details(job_id, label, request.job_id),
        )
        # Asked for while the step was being started.
        if self.options_now(request).model_copy(update={"chain": False}) != options:
            await self.pass_on_changes(self.changes)
        if self.pausing is not None:
            await self._signal_child(names.PAUSE, self.pausing.message)
        try:
            return await self._child
        finally:
            self._child = None


def _namespace(request: JobRequest, stage: JobType, stages: Sequence[JobType]) -> str:
    """The namespace of a step that is made afresh; '' for one that keeps what it has."""
    options = request.options
    if options.redo_from not in stages or not options.redo_namespace:
        return ""
    afresh = stages[stages.index(options.redo_from) :]
    return options.redo_namespace if stage in afresh else ""
