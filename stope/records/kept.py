"""Which jobs and runs are kept: decided from their rows alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import intern

from stope.models.job import JobStatus
from stope.models.keeping import KeepPolicy

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_PIPELINE = "pipeline-"
_OUTPUT = re.compile(r'"output_id": ?"([^"]+)"')


def digests_in(text: str | None) -> frozenset[str]:
    """Every SHA-256 that a text mentions."""
    return frozenset(map(intern, _DIGEST.findall(text or "")))


def outputs_in(text: str | None) -> frozenset[str]:
    """Every output id that a text has as such."""
    return frozenset(_OUTPUT.findall(text or ""))


@dataclass(frozen=True)
class JobRow:
    """What decides about a job: ``takes`` and ``gives`` are digests, ``outputs`` of its result."""

    id: str
    status: JobStatus
    parent_id: str | None
    takes: frozenset[str]
    gives: frozenset[str]
    outputs: frozenset[str]
    created_at: datetime


@dataclass(frozen=True)
class RunRow:
    """What decides about a run; ``ended_at`` is when it began while it has not ended.

    ``names`` are the digests in its checkpoint and its result, ``outputs`` those in its checkpoint.
    """

    id: str
    job_id: str
    attempt: int
    status: JobStatus
    ended_at: datetime
    names: frozenset[str]
    outputs: frozenset[str]


@dataclass(frozen=True)
class Kept:
    """The ids of what stays."""

    jobs: frozenset[str]
    runs: frozenset[str]


def kept_of(
    jobs: Sequence[JobRow], runs: Iterable[RunRow], policy: KeepPolicy, now: datetime
) -> Kept:
    """What stays under a policy.

    A job whose newest run has no result can be resumed: all its runs stay, since each of them may
    have gone further than the newest. So do the jobs whose results it works on, and theirs, and
    those that it may take over if it is a pipeline. The stage jobs of a pipeline that stays, stay.
    """
    by_job: dict[str, list[RunRow]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: -run.attempt):
        by_job[run.job_id].append(run)
    young = now - timedelta(days=policy.keep_days)
    kept: dict[str, set[str]] = {}
    resumable = [job for job in jobs if _resumable(job, by_job[job.id])]
    for job in resumable:
        kept[job.id] = {run.id for run in by_job[job.id]}
    for job in jobs:
        staying = {
            run.id
            for place, run in enumerate(by_job[job.id])
            if place < policy.keep_runs or run.ended_at >= young
        }
        if staying or (not by_job[job.id] and job.created_at >= young):
            kept.setdefault(job.id, set()).update(staying)
    needed = _givers(resumable, jobs) | _for_the_taking(resumable, jobs)
    for name in needed | _stages(jobs, by_job, kept.keys()):
        kept.setdefault(name, set()).update(run.id for run in by_job[name][:1])
    return Kept(frozenset(kept), frozenset().union(*kept.values()))


def _resumable(job: JobRow, newest_first: Sequence[RunRow]) -> bool:
    """Whether somebody may go on with it: its newest run, or it itself, has no result."""
    return not job.status.has_result or any(not run.status.has_result for run in newest_first[:1])


def _givers(resumable: Iterable[JobRow], jobs: Sequence[JobRow]) -> set[str]:
    """The jobs that gave what some jobs work on, and what those worked on."""
    wanted = set().union(*(job.takes for job in resumable))
    found: set[str] = set()
    while True:
        new = [job for job in jobs if job.id not in found and not wanted.isdisjoint(job.gives)]
        if not new:
            return found
        for job in new:
            found.add(job.id)
            wanted |= job.takes


def _for_the_taking(resumable: Iterable[JobRow], jobs: Sequence[JobRow]) -> set[str]:
    """The jobs that open pipelines may take over as stages of theirs, from their input on.

    Between the moment in which a pipeline is answered from another job's result and that in which
    it notes so, no row says that it needs it; and its workers may be away for long just then.
    """
    wanted = set().union(*(job.takes for job in resumable if job.id.startswith(_PIPELINE)))
    found: set[str] = set()
    while True:
        new = [
            job
            for job in jobs
            if job.id not in found and job.status.has_result and not wanted.isdisjoint(job.takes)
        ]
        if not new:
            return found
        for job in new:
            found.add(job.id)
            wanted |= job.gives


def _stages(
    jobs: Sequence[JobRow], by_job: dict[str, list[RunRow]], kept: Iterable[str]
) -> set[str]:
    """The stage jobs of pipelines: those they started, and those whose results they took over."""
    pipelines = {name for name in kept if name.startswith(_PIPELINE)}
    outputs = {output for name in pipelines for run in by_job[name] for output in run.outputs}
    return {
        job.id for job in jobs if job.parent_id in pipelines or not outputs.isdisjoint(job.outputs)
    }
