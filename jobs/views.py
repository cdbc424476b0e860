"""Where jobs stand, from the records and from Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from jobs.session import JobSession
from stope.models.job import InputKind, Job, JobRun, JobType
from stope.models.progress import StageProgress
from stope.models.view import JobView, StageView


class JobViews(JobSession):
    """Shows jobs to people who watch them."""

    async def view(self, job_id: str) -> JobView:
        """Where a job stands: its stages, live progress, and what it is waiting for."""
        job = await self._jobs.get(job_id)
        run = await self._jobs.last_run(job_id)
        stages: list[StageView] = []
        if not job.status.finished:
            temporal = await self.temporal()
            for stage, workflow_id in _stage_workflows(job, run):
                stages.append(await _stage_view(temporal, stage, workflow_id))
        return JobView(
            job_id=job.id,
            type=job.type,
            status=job.status,
            stages=tuple(stages),
            error=run.error_message if run else None,
        )

    async def watch(self, job_id: str, interval: float = 0.5) -> AsyncIterator[JobView]:
        """Views of a job, until it has finished; the last one is of the finished job."""
        while True:
            try:
                view = await self.view(job_id)
            except RPCError:
                await asyncio.sleep(interval)
                continue
            yield view
            if view.status.finished:
                return
            await asyncio.sleep(interval)


def _stage_workflows(job: Job, run: JobRun | None) -> list[tuple[JobType, str]]:
    """The stages of a job and the ids of their workflows; a stage job may run as a child."""
    if job.type is not JobType.PIPELINE:
        return [(job.type, run.workflow_id if run else job.id)]
    stages = [JobType.MINE, JobType.FLAGSHIP]
    if job.input.kind is InputKind.RECORDING:
        stages.insert(0, JobType.TRANSCRIBE)
    return [(stage, f"{job.id}/{stage.value}") for stage in stages]


async def _stage_view(temporal: Client, stage: JobType, workflow_id: str) -> StageView:
    """One stage from Temporal alone: it can be seen with no worker alive."""
    try:
        description = await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return StageView(stage=stage, state="not_started")
        raise
    status = description.status
    state = status.name.lower() if status is not None else "unknown"
    for pending in description.raw_description.pending_activities:
        progress: StageProgress | None = None
        if pending.heartbeat_details.payloads:
            [progress] = await pydantic_data_converter.decode(
                pending.heartbeat_details.payloads, [StageProgress]
            )
        waiting: str | None = None
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
            waiting = pending.last_failure.message or "waiting for a worker"
        return StageView(
            stage=stage,
            state=state,
            progress=progress,
            attempt=pending.attempt,
            waiting=waiting,
        )
    return StageView(stage=stage, state=state)
