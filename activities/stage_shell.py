"""The shell around a stage: its run, its heartbeats, its mirror, its end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from temporalio import activity

from activities.backoff import backing_off
from activities.failures import translated
from activities.progress import reporting
from activities.services import Services
from activities.spending import open_spending, spending_metrics
from stope.errors import PermanentError, StopeError
from stope.leases import Leases
from stope.llm.ledger import Ledger
from stope.llm.sharing import Sharing
from stope.models.checkpoint import Checkpoint
from stope.models.gap import Gap
from stope.models.job import AcceptCached, Job, JobRun, JsonObject
from stope.models.messages import StageDone, StageRequest
from stope.models.progress import StageProgress, gap_notes
from stope.records.rates import EarlierRates
from stope.run_metrics import over_attempts
from stope.stage import StageOutcome, StageRun, open_mirror, resumed_checkpoint

log = logging.getLogger(__name__)

CheckpointT = TypeVar("CheckpointT", bound=Checkpoint)

BEAT_SECONDS = 2.5
"""A stage that is busy with one long unit says so often that it lives, and hears that it is to
stop."""

NEWS_SECONDS = 0.1
"""Between two heartbeats with news: what comes faster goes in the next one. The SDK sends fewer
still, but encodes each that it is given."""


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
        if run.status.has_result and (run.result or job.result) is not None:
            # The attempt before this one died between recording its result and reporting it.
            return done_from_run(run, job)
        if run.namespace is not None:
            # Whoever has the job made afresh meanwhile gets a run of its own.
            job = job.model_copy(update={"namespace": run.namespace})
        async with (
            reporting(request) as report,
            beating(report) as beat,
            draining_event() as draining,
            hold_leases(services, run) as leases,
        ):
            stage_run = _stage_run(
                services,
                request,
                job,
                run,
                resumed_checkpoint(run.checkpoint, make_checkpoint(job)),
                beat,
                draining,
                await _usual_rates(services, job),
                leases,
            )
            try:
                with backing_off(stage_run):
                    outcome = await stage(stage_run)
            except BaseException:
                await _note_metrics(services, stage_run)
                raise
            closed = await services.jobs.finish_run(
                run.run_id,
                outcome.status,
                result=outcome.final_result(),
                metrics=over_attempts(run.metrics, outcome.metrics)
                | await spending_metrics(services, run.run_id),
            )
        if not closed:
            return await ended_before(services, job, run)
        return StageDone(
            run_id=run.run_id,
            status=outcome.status,
            output_id=outcome.output_id,
            result=outcome.result,
            gaps=len(outcome.gaps),
            units=_count(outcome, "units_done") + _count(outcome, "units_reused"),
            reused=_count(outcome, "units_reused"),
            named=gap_notes(outcome.gaps),
            attempt=activity.info().attempt,
            spent=stage_run.spent,
        )


async def ended_before(services: Services, job: Job, run: JobRun) -> StageDone:
    """What a run ended with while an attempt at it, given up as dead, was still at work.

    Raises:
        PermanentError: it ended without a result, and this one comes too late.
    """
    ended = await services.jobs.get_run(run.run_id)
    if ended.status.has_result:
        return done_from_run(ended, job)
    raise PermanentError(
        f"The run {run.run_id} of {job.id} was {ended.status.value} before this attempt at it was "
        f"done; `stope resume {job.id}` goes on with the units it committed."
    )


async def _note_metrics(services: Services, run: StageRun[CheckpointT]) -> None:
    """Note what an attempt did that gives no result: the next one, or the failed run, shows it."""
    try:
        await services.jobs.note_metrics(
            run.run.run_id,
            over_attempts(run.run.metrics, run.metrics())
            | await spending_metrics(services, run.run.run_id),
        )
    except StopeError as error:
        log.warning("what the attempt did was not noted: %s", error)


async def _usual_rates(services: Services, job: Job) -> dict[str, float]:
    """How fast earlier runs were. It is for show: where it cannot be read, work goes on."""
    try:
        return await EarlierRates(services.database).usual(job)
    except StopeError as error:
        log.warning("the rates of earlier runs cannot be read: %s", error)
        return {}


def _count(outcome: StageOutcome, metric: str) -> int:
    value = outcome.metrics.get(metric, 0)
    return value if isinstance(value, int) else 0


def done_from_run(run: JobRun, job: Job) -> StageDone:
    """What a run of a job that has a result ended with."""
    return done_from_result(run.result or job.result or {}).model_copy(
        update={"run_id": run.run_id}
    )


def done_from_result(result: JsonObject) -> StageDone:
    """The small form of a stored result."""
    gaps = result.get("gaps", [])
    return StageDone.model_validate(
        {
            "status": result["status"],
            "output_id": result["output_id"],
            "result": result["result"],
            "gaps": len(gaps) if isinstance(gaps, list) else 0,
            "named": gap_notes(map(Gap.model_validate, gaps)) if isinstance(gaps, list) else (),
        }
    )


async def open_ledger(services: Services, run: StageRun[CheckpointT], model: str) -> Ledger:
    """The ledger for a stage's calls to one model."""
    spending = await open_spending(services, run, model)
    ledger = Ledger(
        services.ledger.on_account(spending.booking),
        await services.engines.chat(model),
        namespace=run.job.namespace,
        job_id=run.job.id,
        since=run.run.created_at,
        guard=spending.guard,
        sharing=Sharing(
            leases=run.leases,
            governor=services.engines.governor(model, run.max_workers),
            note=run.note,
            draining=run.draining,
        ),
        any_model=run.job.config.accept_cached is AcceptCached.ANY_MODEL,
    )
    run.count(ledger.spend)
    return ledger


def hold_leases(services: Services, run: JobRun) -> Leases:
    """What this attempt holds. The server's clock orders attempts: workers' clocks may differ."""
    began = activity.info().current_attempt_scheduled_time
    return Leases(services.leases, run.run_id, began)


def _stage_run(
    services: Services,
    request: StageRequest,
    job: Job,
    run: JobRun,
    checkpoint: CheckpointT,
    beat: Callable[[StageProgress], None],
    draining: asyncio.Event,
    usual: dict[str, float],
    leases: Leases,
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
        usual=usual,
        request=request,
        leases=leases,
    )


@asynccontextmanager
async def beating(
    report: Callable[[StageProgress], None],
) -> AsyncIterator[Callable[[StageProgress], None]]:
    """Gives a beat that is repeated while nothing new is said; news goes to ``report`` as well.

    A heartbeat without details would erase the last ones, so they are sent again each time.
    """
    latest: StageProgress | None = None
    sent = -math.inf
    soon: asyncio.TimerHandle | None = None
    loop = asyncio.get_running_loop()
    timeout = activity.info().heartbeat_timeout or timedelta(seconds=4 * BEAT_SECONDS)

    def send() -> None:
        nonlocal sent, soon
        sent, soon = loop.time(), None
        activity.heartbeat(latest)

    def beat(progress: StageProgress) -> None:
        nonlocal latest, soon
        latest = progress
        report(progress)
        wait = sent + NEWS_SECONDS - loop.time()
        if wait <= 0:
            send()
        elif soon is None:
            soon = loop.call_later(wait, send)

    async def repeat() -> None:
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, timeout.total_seconds() / 4))
            if latest is not None:
                activity.heartbeat(latest)

    task = asyncio.create_task(repeat())
    try:
        yield beat
    finally:
        if soon is not None:
            # The next attempt, and whoever looks at a failed one, is to see the newest.
            soon.cancel()
            send()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def draining_event() -> AsyncIterator[asyncio.Event]:
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
