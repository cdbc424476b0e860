"""The base of every pipeline: ordered steps, each skipped when it is finished, then checkpointed.

A step is a child workflow with a job of its own, as in an episode, or an activity on its queue.
Both kinds are declared as ``StepDefinition``, and resumed by this one loop: what is finished is
shown as it ended, the rest is done in order, and the checkpoint is written after every step and
failure. A pipeline that failed is started again by its id and goes on at the step that failed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.messages import (
        Changes,
        JobRequest,
        Limits,
        RunOpened,
        StageDone,
        StageRequest,
    )
    from stope.models.steps import PipelineDefinition, StepDefinition

from workflows.doing import ActivityWorkflow
from workflows.labels import activity_summary
from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT, beat_timeout
from workflows.stage import fail_run, open_run, run_id_of


class Pipeline(ActivityWorkflow, ABC):
    """Runs steps in order. How one is done and noted is its kind's business; see the subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self._child: workflow.ChildWorkflowHandle[object, StageDone] | None = None

    async def run_pipeline(self, request: JobRequest) -> StageDone:
        """All steps, then the pipeline's own result."""
        opened = await open_run(request)
        run_id = run_id_of(opened)
        try:
            definition, kept = await self.opened(request, run_id, opened)
            for name, done in kept.items():
                self.board.finish(name, request.job_id, done, kept=True)
            for step in definition.steps:
                if step.name not in kept:
                    await self.wait_while_paused(request, run_id)
                    await self.do_step(request, run_id, step)
            done = await self.closed(request, run_id, opened)
        except (FailureError, asyncio.CancelledError) as error:
            raise await fail_run(request, run_id, error, self.board) from error
        self.board.end(done.status)
        return done

    @abstractmethod
    async def opened(
        self, request: JobRequest, run_id: str, opened: RunOpened
    ) -> tuple[PipelineDefinition, Mapping[str, StageDone]]:
        """The steps of this run, and those that are finished already; the board is opened."""

    @abstractmethod
    async def do_step(self, request: JobRequest, run_id: str, step: StepDefinition) -> None:
        """Have one step done, and noted in the checkpoint."""

    async def closed(self, request: JobRequest, run_id: str, opened: RunOpened) -> StageDone:
        """The pipeline's result, recorded."""
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
        await super().pass_on_pause(message)
        await self.signal_child(names.PAUSE, message)

    async def pass_on_unpause(self, limits: Limits) -> None:
        """Let the running step go on."""
        await super().pass_on_unpause(limits)
        await self.signal_child(names.UNPAUSE, limits)

    async def pass_on_changes(self, changes: Changes) -> None:
        """Tell the running step."""
        await super().pass_on_changes(changes)
        await self.signal_child(names.CHANGE, changes.model_copy(update={"chain": None}))

    async def signal_child(self, name: str, argument: str | Limits) -> None:
        """Tell the child workflow that does the running step, if one does."""
        if self._child is None:
            return
        try:
            await self._child.signal(name, argument)
        except FailureError as error:
            workflow.logger.info("the step has ended before it was told to %s: %s", name, error)
