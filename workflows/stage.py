"""What every stage workflow does: open a run, do the stage's one activity, close the run."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError
from temporalio.exceptions import CancelledError as TemporalCancelledError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobStatus, JobType
    from stope.models.messages import (
        FailRun,
        JobRequest,
        OpenRun,
        RunOpened,
        StageDone,
        StageRequest,
    )

from workflows.board import Board, WatchedWorkflow
from workflows.labels import activity_summary
from workflows.policies import RECORD_RETRY, RECORD_TIMEOUT, STAGE_RETRY, STAGE_TIMEOUT


class Stage(WatchedWorkflow):
    """A workflow whose job is one activity on one queue."""

    async def run_stage(
        self, request: JobRequest, stage: JobType, activity: str, queue: str
    ) -> StageDone:
        """One attempt at the job."""
        opened = await open_run(request)
        self.board.open(request, stage, (stage,), opened.attempt)
        self.board.start(stage, request.job_id)
        info = workflow.info()
        try:
            done: StageDone = await workflow.execute_activity(
                activity,
                StageRequest(
                    job_id=request.job_id,
                    run_id=info.run_id,
                    max_workers=request.options.max_workers,
                    pipeline_id=info.parent.workflow_id if info.parent else None,
                ),
                result_type=StageDone,
                task_queue=queue,
                start_to_close_timeout=STAGE_TIMEOUT,
                heartbeat_timeout=timedelta(seconds=request.options.heartbeat_timeout),
                retry_policy=STAGE_RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=activity_summary(request, stage.value, opened.attempt),
            )
        except FailureError as error:
            raise await fail_run(request, error, self.board) from error
        self.board.finish(stage, request.job_id, done)
        self.board.end(done.status)
        return done


async def open_run(request: JobRequest) -> RunOpened:
    """Number this attempt and mark the job as running."""
    info = workflow.info()
    opened: RunOpened = await workflow.execute_activity(
        names.OPEN_RUN,
        OpenRun(job_id=request.job_id, run_id=info.run_id, workflow_id=info.workflow_id),
        result_type=RunOpened,
        task_queue=names.ORCHESTRATION_QUEUE,
        start_to_close_timeout=RECORD_TIMEOUT,
        retry_policy=RECORD_RETRY,
        summary=activity_summary(request, "open a run"),
    )
    return opened


async def fail_run(request: JobRequest, error: FailureError, board: Board) -> FailureError:
    """Close the run as failed or cancelled; gives back the error the workflow ends with."""
    cause = _root(error)
    cancelled = isinstance(cause, TemporalCancelledError)
    status = JobStatus.CANCELLED if cancelled else JobStatus.FAILED
    code = "Cancelled" if cancelled else _code(cause)
    message = "The job was cancelled." if cancelled else cause.message
    board.end(status, message)
    # A cancelled workflow still has to note it: the note itself must not be cancelled.
    await workflow.execute_activity(
        names.FAIL_RUN,
        FailRun(run_id=workflow.info().run_id, status=status, code=code, message=message),
        task_queue=names.ORCHESTRATION_QUEUE,
        start_to_close_timeout=RECORD_TIMEOUT,
        retry_policy=RECORD_RETRY,
        cancellation_type=workflow.ActivityCancellationType.ABANDON,
        summary=activity_summary(request, f"close the run as {status.value}"),
    )
    if cancelled:
        return TemporalCancelledError(message)
    return ApplicationError(message, type=code, non_retryable=True)


def _root(error: FailureError) -> FailureError:
    """The failure under Temporal's wrappers."""
    found: BaseException = error
    while isinstance(found, (ActivityError, ChildWorkflowError)) and found.cause is not None:
        found = found.cause
    return found if isinstance(found, FailureError) else error


def _code(error: FailureError) -> str:
    if isinstance(error, ApplicationError) and error.type:
        return error.type
    return type(error).__name__.removesuffix("Error")
