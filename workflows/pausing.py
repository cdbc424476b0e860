"""Jobs that wait for a person: paused by a signal or by a limit, until another signal.

A pause ends the running activity the way a cancellation does: units in flight are committed first.
Nothing is lost by it, so what was paused is simply done again when it goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    RetryState,
)
from temporalio.exceptions import CancelledError as TemporalCancelledError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobStatus
    from stope.models.messages import Changes, JobRequest, Limits, MarkRun, RunOptions

from workflows.board import WatchedWorkflow
from workflows.labels import activity_summary
from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT, beat_timeout

BUDGET_REACHED = "BudgetReached"
"""The type of the failure by which a stage says that it met a limit of money or tokens."""

ASKED = "It was paused by hand."


@dataclass(frozen=True)
class Pause:
    """Why a job waits. ``code`` is stored as its run's error code."""

    message: str
    code: str = "Paused"


class PausableWorkflow(WatchedWorkflow):
    """The base of every job's workflow: it can be paused at any time, also before it began."""

    def __init__(self) -> None:
        super().__init__()
        self.pausing: Pause | None = None
        self.changes = Changes()

    @workflow.signal(
        name=names.PAUSE,
        description="Commit what is in flight, then wait.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def pause(self, message: str = "") -> None:
        """Wait from now on; ``message`` is the sentence that people read meanwhile."""
        self.pausing = Pause(message or ASKED)
        await self.pass_on_pause(self.pausing.message)

    @workflow.signal(
        name=names.UNPAUSE,
        description="Go on, with new limits if there are any.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def unpause(self, limits: Limits | None = None) -> None:
        """Go on."""
        self.pausing = None
        if limits is not None:
            self._take(limits)
        await self.pass_on_unpause(
            Limits(max_usd=self.changes.max_usd, max_tokens=self.changes.max_tokens)
        )

    @workflow.signal(
        name=names.CHANGE,
        description="Work on it in another way from now on.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def change(self, changes: Changes) -> None:
        """New limits hold at once; a pause stays one."""
        self._take(changes)
        await self.pass_on_changes(changes)

    def _take(self, new: Limits) -> None:
        self.changes = self.changes.model_copy(update=new.model_dump(exclude_none=True))

    async def pass_on_pause(self, message: str) -> None:
        """Stop what runs for this workflow just now."""

    async def pass_on_unpause(self, limits: Limits) -> None:
        """Let go on what was stopped."""

    async def pass_on_changes(self, changes: Changes) -> None:
        """Have what runs for this workflow just now done in the new way."""

    def options_now(self, request: JobRequest) -> RunOptions:
        """How to work on the job, with what was changed since it was started."""
        return self.changed(request.options)

    def changed(self, options: RunOptions) -> RunOptions:
        """Some options, with the changes."""
        return options.model_copy(update=self.changes.model_dump(exclude_none=True))

    async def wait_while_paused(self, request: JobRequest, run_id: str) -> None:
        """Hold here while somebody wants a pause; the records and the pages say so."""
        while (pause := self.pausing) is not None:
            await self._mark(request, run_id, JobStatus.PAUSED, pause)
            self.board.pause(pause.message)
            await _tell_pipeline(request, pause.message)
            await workflow.wait_condition(lambda: self.pausing is None)
            await self._mark(request, run_id, JobStatus.RUNNING)
            self.board.resume()
            await _tell_pipeline(request, "")

    async def _mark(
        self, request: JobRequest, run_id: str, status: JobStatus, pause: Pause | None = None
    ) -> None:
        await workflow.execute_activity(
            names.MARK_RUN,
            MarkRun(
                run_id=run_id,
                status=status,
                pipeline_id=pipeline_of(request),
                code=pause.code if pause else None,
                message=pause.message if pause else None,
            ),
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"note that it is {status.value}"),
        )


def pipeline_of(request: JobRequest) -> str | None:
    """The id of the pipeline that this workflow is a stage of; a link of a chain is of none."""
    parent = workflow.info().parent
    return None if parent is None or request.options.chain else parent.workflow_id


async def _tell_pipeline(request: JobRequest, message: str) -> None:
    """Show on the pipeline's page that its stage waits; '' when it goes on."""
    pipeline_id = pipeline_of(request)
    if pipeline_id is None:
        return
    try:
        await workflow.get_external_workflow_handle(pipeline_id).signal(names.REPORT_PAUSE, message)
    except FailureError as error:
        # A picture on a page: nothing depends on it.
        workflow.logger.info("the pipeline %s was not told of a pause: %s", pipeline_id, error)


def is_cancelled() -> bool:
    """Whether the workflow itself is asked to end, as against one of its activities."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def was_stopped(error: BaseException) -> bool:
    """Whether an activity ended because it was cancelled, however its worker put it."""
    if isinstance(error, asyncio.CancelledError):
        return True
    if isinstance(root(error), TemporalCancelledError):
        return True
    # Its worker died meanwhile, or it failed and was not tried again because it was cancelled.
    return isinstance(error, ActivityError) and error.retry_state is RetryState.CANCEL_REQUESTED


def limit_reached(error: BaseException) -> Pause | None:
    """The pause that a stage asks for by failing at a limit; None for any other failure."""
    cause = root(error)
    if isinstance(cause, ApplicationError) and cause.type == BUDGET_REACHED:
        return Pause(cause.message, BUDGET_REACHED)
    return None


def root(error: BaseException) -> BaseException:
    """The failure under Temporal's wrappers."""
    found = error
    while isinstance(found, (ActivityError, ChildWorkflowError)) and found.cause is not None:
        found = found.cause
    return found
