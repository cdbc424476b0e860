"""Attempts that never said how they ended: their workflow is gone, and a newer one has begun."""

from __future__ import annotations

import logging

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from stope.models.job import JobRun
from stope.records.jobs import JobRecords

log = logging.getLogger(__name__)


async def close_lost_runs(jobs: JobRecords, began: JobRun) -> None:
    """Close the older attempts at a job that nobody works on any more, as failed.

    A workflow that was terminated writes no word to the records. Runs that wait in the queue, and
    those whose workflow is open, are left alone; doing it again changes nothing.

    Args:
        jobs: the records.
        began: the run that has just been opened.
    """
    for run in await jobs.runs(began.job_id):
        is_older = run.run_id != began.run_id and run.temporal_run_id is not None
        if not is_older or run.status.finished or not await _is_gone(activity.client(), run):
            continue
        await jobs.lose_run(
            run.run_id,
            f"It did not say how it ended: its workflow was gone when attempt {began.attempt} "
            "began.",
        )


async def _is_gone(temporal: Client, run: JobRun) -> bool:
    """Whether Temporal runs it no more; where it does not say, it may."""
    handle = temporal.get_workflow_handle(run.workflow_id, run_id=run.temporal_run_id)
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return True
        log.warning("whether run %s is still at work is not known: %s", run.run_id, error)
        return False
    return description.status is not WorkflowExecutionStatus.RUNNING
