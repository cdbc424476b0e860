"""The shell around a stage: its run, its heartbeats, its mirror, its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from temporalio import activity

from activities.failures import translated
from activities.progress import reporting
from activities.services import Services
from stope.llm.ledger import Ledger
from stope.models.checkpoint import Checkpoint
from stope.models.job import Job, JobRun
from stope.models.messages import StageDone, StageRequest
from stope.models.progress import StageProgress
from stope.stage import StageOutcome, StageRun, open_mirror, resumed_checkpoint

log = logging.getLogger(__name__)

CheckpointT = TypeVar("CheckpointT", bound=Checkpoint)

BEAT_SECONDS = 1.0
"""A stage that is busy with one long unit says every second that it lives."""


async def run_stage_activity(
    services: Services,
    request: StageRequest,
    make_checkpoint: Callable[[Job], CheckpointT],
    stage: Callable[[StageRun[CheckpointT]], Awaitable[StageOutcome]],
) -> StageDone:
    """One attempt at a stage: gives its result, records it, or fails with a translated error."""
    with translated():
        job = await services.jobs.get(request.job_id)
        run = await services.jobs.get_run(request.run_id)
        if run.status.has_result and job.result is not None:
            # The attempt before this one died between recording its result and reporting it.
            return done_from_result(job)
        async with (
            reporting(request) as report,
            _beating(report) as beat,
            _draining() as draining,
        ):
            outcome = await stage(
                _stage_run(
                    services,
                    request,
                    job,
                    run,
                    resumed_checkpoint(run.checkpoint, make_checkpoint(job)),
                    beat,
                    draining,
                )
            )
            await services.jobs.finish_run(
                run.run_id,
                outcome.status,
                result=outcome.final_result(),
                metrics=outcome.metrics,
            )
        return StageDone(
            status=outcome.status,
            output_id=outcome.output_id,
            result=outcome.result,
            gaps=len(outcome.gaps),
            units=_count(outcome, "units_done") + _count(outcome, "units_reused"),
            reused=_count(outcome, "units_reused"),
        )


def _count(outcome: StageOutcome, metric: str) -> int:
    value = outcome.metrics.get(metric, 0)
    return value if isinstance(value, int) else 0


def done_from_result(job: Job) -> StageDone:
    """The small form of a job's stored result."""
    result = job.result or {}
    gaps = result.get("gaps", [])
    return StageDone.model_validate(
        {
            "status": result["status"],
            "output_id": result["output_id"],
            "result": result["result"],
            "gaps": len(gaps) if isinstance(gaps, list) else 0,
        }
    )


async def open_ledger(services: Services, run: StageRun[CheckpointT], model: str) -> Ledger:
    """The ledger for a stage's calls to one model."""
    return Ledger(
        services.ledger,
        await services.engines.chat(model),
        namespace=run.job.namespace,
        job_id=run.job.id,
        since=run.run.created_at,
    )


def _stage_run(
    services: Services,
    request: StageRequest,
    job: Job,
    run: JobRun,
    checkpoint: CheckpointT,
    beat: Callable[[StageProgress], None],
    draining: asyncio.Event,
) -> StageRun[CheckpointT]:
    return StageRun(
        job=job,
        run=run,
        checkpoint=checkpoint,
        stage=str(getattr(checkpoint, "stage", "")),
        mirror=open_mirror(services.jobs, run, activity.info().attempt),
        beat=beat,
        draining=draining,
        max_workers=request.max_workers or services.settings.max_workers,
    )


@asynccontextmanager
async def _beating(
    report: Callable[[StageProgress], None],
) -> AsyncIterator[Callable[[StageProgress], None]]:
    """Gives a beat that is repeated while nothing new is said; news goes to ``report`` as well.

    A heartbeat without details would erase the last ones, so they are sent again each time.
    """
    latest: StageProgress | None = None
    timeout = activity.info().heartbeat_timeout or timedelta(seconds=4 * BEAT_SECONDS)

    def beat(progress: StageProgress) -> None:
        nonlocal latest
        latest = progress
        activity.heartbeat(progress)
        report(progress)

    async def repeat() -> None:
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, timeout.total_seconds() / 4))
            if latest is not None:
                activity.heartbeat(latest)

    task = asyncio.create_task(repeat())
    try:
        yield beat
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _draining() -> AsyncIterator[asyncio.Event]:
    """An event that is set when this worker begins to leave."""
    draining = asyncio.Event()

    async def watch() -> None:
        await activity.wait_for_worker_shutdown()
        draining.set()

    task = asyncio.create_task(watch())
    try:
        yield draining
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
