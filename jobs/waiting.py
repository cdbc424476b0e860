"""Why nothing of a workflow moves, from Temporal: it knows without a worker alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import (
    PendingActivityState,
    PendingWorkflowTaskState,
    TaskQueueType,
    TimeoutType,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from stope import names

_POLLER_AGE = timedelta(seconds=90)
"""A poll ends after about a minute, and Temporal lists who polled for longer than that."""

_PATIENCE = timedelta(seconds=2)
"""A worker that is there has taken a task by then."""

_FAILING = 3
"""So many attempts at one workflow task are no passing trouble."""


async def describe(temporal: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    """The newest run of a workflow; None where Temporal has none."""
    try:
        return await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def is_open(description: WorkflowExecutionDescription | None) -> bool:
    """Whether it will go on."""
    return description is not None and description.status is WorkflowExecutionStatus.RUNNING


async def workflow_waits(temporal: Client, description: WorkflowExecutionDescription) -> str | None:
    """Why a workflow's own next step is not taken; None when it is, or waits for an activity."""
    raw = description.raw_description
    if not raw.HasField("pending_workflow_task"):
        return None
    task = raw.pending_workflow_task
    if task.attempt >= _FAILING:
        return (
            f"its worker fails at it (attempt {task.attempt}); the worker's log and the Web UI "
            "say why"
        )
    if task.state != PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
        return None
    since = task.scheduled_time.ToDatetime(tzinfo=UTC)
    return await _no_taker(
        temporal, names.ORCHESTRATION_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, since
    )


async def activity_waits(temporal: Client, pending: PendingActivityInfo, queue: str) -> str | None:
    """Why an activity does not run just now; None when it does."""
    if pending.paused:
        return "the activity was paused in Temporal; it is unpaused in the Web UI"
    if pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
        return None
    queue = pending.activity_options.task_queue.name or queue
    kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    due = pending.next_attempt_schedule_time.ToDatetime(tzinfo=UTC)
    if not pending.HasField("last_failure"):
        due = max(due, pending.scheduled_time.ToDatetime(tzinfo=UTC))
        return await _no_taker(temporal, queue, kind, due)
    failure = pending.last_failure
    if failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT:
        missing = await _no_taker(temporal, queue, kind, due)
        return f"its worker stopped answering; {missing or 'another one takes over'}"
    if datetime.now(UTC) - due > _PATIENCE:
        missing = await _no_taker(temporal, queue, kind, due)
        return f"{missing}; before that: {failure.message}" if missing else failure.message
    return failure.message


async def _no_taker(
    temporal: Client, queue: str, kind: TaskQueueType.ValueType, since: datetime
) -> str | None:
    """That no worker takes a task which is due since then; None where one may be about to."""
    now = datetime.now(UTC)
    found = await temporal.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=temporal.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=kind,
        )
    )
    polls = [poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in found.pollers]
    if not any(now - at < _POLLER_AGE for at in polls):
        return f"waiting for a worker: none serves the queue {queue} (`stope up` starts one)"
    return "waiting for a worker" if now - since > _PATIENCE else None
