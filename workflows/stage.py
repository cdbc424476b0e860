"""What every stage workflow does: open a run, do the stage's one activity, close the run."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.exceptions import CancelledError as TemporalCancelledError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobStatus, JobType
    from stope.models.messages import (
        FailRun,
        JobRequest,
        NextOpened,
        OpenNext,
        OpenRun,
        RunOpened,
        RunOptions,
        StageDone,
        StageRequest,
    )

from workflows.board import Board
from workflows.doing import ActivityWorkflow
from workflows.labels import activity_summary, label_of, static_details, title
from workflows.pausing import is_cancelled, pipeline_of, root
from workflows.policies import (
    RECORD_RETRY,
    RECORD_TIMEOUT,
    STAGE_RETRY,
    STAGE_TIMEOUT,
    beat_timeout,
    task_timeout,
)

CANCELLED = "The job was cancelled."


class Stage(ActivityWorkflow):
    """A workflow whose job is one activity on one queue."""

    async def run_stage(
        self, request: JobRequest, stage: JobType, activity: str, queue: str
    ) -> StageDone:
        """One attempt at the job, and the start of the next stage's where a chain is asked for."""
        opened = await open_run(request)
        run_id = run_id_of(opened)
        self.board.open(request, stage, (stage,), opened.attempt)
        self.board.start(stage, request.job_id)

        def start(options: RunOptions) -> workflow.ActivityHandle[StageDone]:
            return workflow.start_activity(
                activity,
                StageRequest(
                    job_id=request.job_id,
                    run_id=run_id,
                    max_workers=options.max_workers,
                    max_usd=options.max_usd,
                    max_tokens=options.max_tokens,
                    pipeline_id=pipeline_of(request),
                ),
                result_type=StageDone,
                task_queue=queue,
                start_to_close_timeout=STAGE_TIMEOUT,
                heartbeat_timeout=timedelta(seconds=options.heartbeat_timeout),
                retry_policy=STAGE_RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=activity_summary(
                    request, stage.value, opened.attempt, self.board.scope(stage) or opened.scope
                ),
            )

        try:
            done = await self.do_activity(request, run_id, start)
        except (FailureError, asyncio.CancelledError) as error:
            raise await fail_run(request, run_id, error, self.board) from error
        self.board.finish(stage, request.job_id, done)
        self.board.end(done.status)
        options = self.options_now(request)
        if options.chain:
            child = await start_next(request, run_id, options, self.board)
            if child is not None and self.pausing is not None:
                await _pause_next(child, self.pausing.message)
        return done


async def open_run(request: JobRequest) -> RunOpened:
    """Number this attempt and mark the job as running.

    A cancellation waits until that is done: an attempt that nobody has noted cannot be closed.
    """
    info = workflow.info()
    opening = workflow.start_activity(
        names.OPEN_RUN,
        OpenRun(
            job_id=request.job_id,
            run_id=info.run_id,
            workflow_id=info.workflow_id,
            pipeline_run_id=request.pipeline_run_id,
        ),
        result_type=RunOpened,
        task_queue=names.ORCHESTRATION_QUEUE,
        start_to_close_timeout=RECORD_TIMEOUT,
        heartbeat_timeout=beat_timeout(request.options),
        retry_policy=RECORD_RETRY,
        summary=activity_summary(request, "open a run"),
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError as error:
        opened = await opening
        raise await fail_run(request, run_id_of(opened), error, None) from error


def run_id_of(opened: RunOpened) -> str:
    """The id of the run's record. Runs from before they could be queued have the workflow run's."""
    return opened.run_id or workflow.info().run_id


async def start_next(
    request: JobRequest, run_id: str, options: RunOptions, board: Board
) -> workflow.ChildWorkflowHandle[object, StageDone] | None:
    """Open the next stage's job and start its own workflow, which goes on without us.

    All links of a chain draw on the budget of the first one. None where nothing was started.
    """
    following: NextOpened = await workflow.execute_activity(
        names.OPEN_NEXT,
        OpenNext(job_id=request.job_id),
        result_type=NextOpened,
        task_queue=names.ORCHESTRATION_QUEUE,
        start_to_close_timeout=RECORD_TIMEOUT,
        heartbeat_timeout=beat_timeout(request.options),
        retry_policy=RECORD_RETRY,
        summary=activity_summary(request, "open the next stage's job"),
    )
    if following.job_id is None or following.type is None:
        return None
    label = label_of(request)
    try:
        return await workflow.start_child_workflow(
            names.WORKFLOW_OF_TYPE[following.type.value],
            JobRequest(
                job_id=following.job_id,
                options=options,
                source=request.source,
                pipeline_run_id=request.pipeline_run_id or run_id,
            ),
            id=following.job_id,
            result_type=StageDone,
            task_queue=names.ORCHESTRATION_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=task_timeout(request.options.heartbeat_timeout),
            search_attributes=board.child_attributes(following.type, label),
            static_summary=title(following.type, label),
            static_details=static_details(following.job_id, label),
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s runs already; the chain joins it", following.job_id)
        return None


async def _pause_next(child: workflow.ChildWorkflowHandle[object, StageDone], message: str) -> None:
    """Hand on a pause that came when our own work was about to end."""
    if not workflow.patched("a pause goes on in the chain"):
        return
    try:
        await child.signal(names.PAUSE, message)
    except FailureError as error:
        workflow.logger.info("the next stage has ended before it was told to pause: %s", error)


async def fail_run(
    request: JobRequest, run_id: str, error: BaseException, board: Board | None
) -> FailureError:
    """Close the run as failed or cancelled; gives back the error the workflow ends with."""
    cause = root(error)
    cancelled = is_cancelled() or isinstance(
        cause, (TemporalCancelledError, asyncio.CancelledError)
    )
    status = JobStatus.CANCELLED if cancelled else JobStatus.FAILED
    code = "Cancelled" if cancelled else _code(cause)
    message = CANCELLED if cancelled else sentence_of(cause)
    if board is not None:
        board.end(status, message)
    # A cancelled workflow still has to note it: the note itself must not be cancelled.
    await workflow.execute_activity(
        names.FAIL_RUN,
        FailRun(run_id=run_id, status=status, code=code, message=message),
        task_queue=names.ORCHESTRATION_QUEUE,
        start_to_close_timeout=RECORD_TIMEOUT,
        heartbeat_timeout=beat_timeout(request.options),
        retry_policy=RECORD_RETRY,
        cancellation_type=workflow.ActivityCancellationType.ABANDON,
        summary=activity_summary(request, f"close the run as {status.value}"),
    )
    if cancelled:
        return TemporalCancelledError(message)
    return ApplicationError(message, type=code, non_retryable=True)


def sentence_of(error: BaseException) -> str:
    """What a failure says to people."""
    return error.message if isinstance(error, FailureError) else str(error)


def _code(error: BaseException) -> str:
    if isinstance(error, ApplicationError) and error.type:
        return error.type
    return type(error).__name__.removesuffix("Error")
