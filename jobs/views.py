"""Where jobs stand: what the records say, and what Temporal says of what is not finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from jobs.session import JobSession, comes_back
from jobs.step_views import step_views
from jobs.waiting import activity_waits, describe, is_open, workflow_waits
from stope import names
from stope.errors import ServerUnavailableError
from stope.models.job import Job, JobRun, JobStatus, JobType
from stope.models.progress import StageProgress
from stope.models.route import stages_of
from stope.models.view import NOT_STARTED, JobView, StageView

_AT_ONCE = 8
"""Jobs that are asked for at the same time."""

_QUEUES = {
    JobType.TRANSCRIBE: names.SPEECH_QUEUE,
    JobType.MINE: names.LLM_QUEUE,
    JobType.FLAGSHIP: names.LLM_QUEUE,
}


class JobViews(JobSession):
    """Shows jobs to people who watch them."""

    async def view(self, job_id: str) -> JobView:
        """Where a job stands: its stages, live progress, and what it is waiting for.

        Raises:
            ServerUnavailableError: it is not finished, and Temporal does not answer.
        """
        try:
            return await self._look(job_id)
        except RPCError as error:
            raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error

    async def _look(self, job_id: str) -> JobView:
        """As ``view``, with Temporal's own errors."""
        job, run = await self._standing(job_id)
        if job.status.finished:
            return _view(job, run)
        temporal = await self.temporal()
        # A queued job may run for the first time, or anew: not as it did in its last run.
        queued = run is None or job.status is JobStatus.QUEUED
        workflow_id = job.id if queued or run is None else run.workflow_id
        description = await describe(temporal, workflow_id)
        if description is None or not is_open(description):
            # It may have ended or begun between the two questions; the records are written first.
            if (job, run) == await self._standing(job_id):
                return _absent(job, run)
            return await self._look(job_id)
        paused = job.status is JobStatus.PAUSED
        if job.type is JobType.STEPS:
            stages = await step_views(temporal, description, None if queued else run, paused)
        else:
            stages = [
                await _stage_view(temporal, stage, stage_workflow_id, paused)
                for stage, stage_workflow_id in _stage_workflows(job, workflow_id)
            ]
        waiting = await workflow_waits(temporal, description)
        if job.status is JobStatus.PAUSED:
            message = (run.error_message if run else None) or "It was paused."
            # At a limit it says itself how it goes on.
            way_on = "" if "`stope resume" in message else f" Go on with `stope resume {job.id}`."
            waiting = f"{message}{way_on}"
        return _view(job, run, stages, waiting)

    async def views(self, jobs: Sequence[Job]) -> dict[str, JobView]:
        """Views of the unfinished ones among some jobs, by id; of none where no server answers."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(job_id: str) -> JobView | None:
            async with gate:
                try:
                    return await self.view(job_id)
                except ServerUnavailableError:
                    return None

        open_jobs = [job.id for job in jobs if not job.status.finished]
        try:
            if open_jobs:
                await self.temporal()
        except ServerUnavailableError:
            return {}
        found = await asyncio.gather(*map(one, open_jobs))
        return {view.job_id: view for view in found if view is not None}

    async def watch(self, job_id: str, interval: float = 0.5) -> AsyncIterator[JobView]:
        """Views of a job until it has finished or is lost; the last one is of that.

        Raises:
            ServerUnavailableError: Temporal is there, and does not answer us.
        """
        while True:
            try:
                view = await self._look(job_id)
            except RPCError as error:
                if not comes_back(error):
                    raise ServerUnavailableError(
                        f"Temporal does not answer: {error.message}"
                    ) from error
                # The server is restarting: the job goes on when it is back.
                await asyncio.sleep(interval)
                continue
            yield view
            if view.status.finished or view.lost:
                return
            await asyncio.sleep(interval)

    async def _standing(self, job_id: str) -> tuple[Job, JobRun | None]:
        return await self._jobs.get(job_id), await self._jobs.last_run(job_id)


def _view(
    job: Job,
    run: JobRun | None,
    stages: Sequence[StageView] = (),
    waiting: str | None = None,
) -> JobView:
    return JobView(
        job_id=job.id,
        type=job.type,
        status=job.status,
        stages=tuple(stages),
        error=run.error_message if run else None,
        waiting=waiting,
    )


def _absent(job: Job, run: JobRun | None) -> JobView:
    """An unfinished job that Temporal knows nothing of, or has ended without our records."""
    if job.status is JobStatus.QUEUED:
        return _view(job, run, waiting=f"not started: `stope resume {job.id}` starts it")
    lost = f"lost: Temporal does not run it any more; start it again with `stope resume {job.id}`"
    return _view(job, run, waiting=lost).model_copy(update={"lost": True})


def _stage_workflows(job: Job, workflow_id: str) -> list[tuple[JobType, str]]:
    """The stages of a job and the ids of their workflows."""
    if job.type is not JobType.PIPELINE:
        return [(job.type, workflow_id)]
    return [
        (stage, f"{workflow_id}/{stage.value}") for stage in stages_of(job.input.kind, job.config)
    ]


async def _stage_view(
    temporal: Client, stage: JobType, workflow_id: str, paused: bool
) -> StageView:
    """One stage from Temporal alone: it can be seen with no worker alive."""
    description = await describe(temporal, workflow_id)
    if description is None:
        return StageView(stage=stage, state=NOT_STARTED)
    status = description.status
    state = status.name.lower() if status is not None else "unknown"
    paused = paused and is_open(description)
    for pending in description.raw_description.pending_activities:
        progress: StageProgress | None = None
        if pending.heartbeat_details.payloads:
            [progress] = await pydantic_data_converter.decode(
                pending.heartbeat_details.payloads, [StageProgress]
            )
        queue = _QUEUES.get(stage, names.ORCHESTRATION_QUEUE)
        return StageView(
            stage=stage,
            state=state,
            progress=progress,
            attempt=pending.attempt,
            waiting=await activity_waits(temporal, pending, queue),
            paused=paused,
        )
    waiting = await workflow_waits(temporal, description) if is_open(description) else None
    return StageView(stage=stage, state=state, waiting=waiting, paused=paused)
