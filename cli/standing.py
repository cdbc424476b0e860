"""A job in a word or a line: how it stands, what it cost, and its gaps."""

from __future__ import annotations

from collections.abc import Sequence

from cli.console import clock
from stope.models.gap import Gap
from stope.models.job import Job, JobRun, JobStatus
from stope.models.money import dollars
from stope.models.progress import Spent
from stope.models.view import JobView


def standing(job: Job, view: JobView | None) -> str:
    """How a job stands, as Temporal sees it where it is not finished.

    ``view`` is None where no server answers.
    """
    if job.status is JobStatus.SUCCEEDED_WITH_GAPS:
        return f"with {_count(len(gaps_of(job)))}"
    if job.status.finished:
        return job.status.value
    if view is None:
        return "no server"
    if view.lost:
        return "lost"
    if job.status is JobStatus.PAUSED:
        return job.status.value
    if job.status is JobStatus.QUEUED and not view.stages:
        return "not started"
    waiting = [view.waiting, *(stage.waiting for stage in view.stages)]
    if any(reason is not None and "waiting for a worker" in reason for reason in waiting):
        return "no worker"
    return job.status.value


def gaps_of(job: Job) -> list[Gap]:
    """The gaps of a finished job."""
    found = (job.result or {}).get("gaps")
    return [Gap.model_validate(gap) for gap in found] if isinstance(found, list) else []


def gap_line(gap: Gap) -> str:
    """``gap: mine seg_0002 from 02:10 to 02:45: why``."""
    where = ""
    if gap.start is not None:
        where = f" at {clock(gap.start)}"
        if gap.end is not None and int(gap.end) > int(gap.start):
            where = f" from {clock(gap.start)} to {clock(gap.end)}"
    return f"gap: {gap.stage} {gap.unit_id}{where}: {gap.reason}"


def bill_of(runs: Sequence[JobRun]) -> Spent:
    """What the calls of some attempts came to, by their metrics."""
    return sum((_spent(run) for run in runs), Spent())


def bill_words(bill: Spent) -> str:
    """``$0.0042``; with ``?`` for calls whose price is not known; '' before any call."""
    if not bill.tokens and not bill.unpriced:
        return ""
    if not bill.unpriced:
        return dollars(bill.cost_usd)
    return f"{dollars(bill.cost_usd)}+?" if bill.cost_usd else "?"


def _spent(run: JobRun) -> Spent:
    metrics = run.metrics or {}

    def number(name: str) -> float:
        value = metrics.get(name)
        return value if isinstance(value, int | float) else 0

    return Spent(
        prompt_tokens=int(number("prompt_tokens")),
        completion_tokens=int(number("completion_tokens")),
        cost_usd=round(number("cost_usd"), 6),
        unpriced=int(number("llm_calls_unpriced")),
    )


def _count(gaps: int) -> str:
    return f"{gaps} gap{'' if gaps == 1 else 's'}"
