"""How soon a job moves on after the SIGKILL of its worker, and what happened where it was slow."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from benchmarks.chaos.billing import HEARTBEAT_SECONDS
from benchmarks.chaos.faults import STAGES, Kind
from benchmarks.chaos.journal import Journal
from benchmarks.chaos.record import Record
from client import JobClient
from stope.errors import StopeError

RECOVERY_SECONDS = HEARTBEAT_SECONDS + 2
"""The most that it may take while another worker is alive."""

_BEFORE = 1.5
"""Seconds before a kill that are told too."""


@dataclass(frozen=True)
class Recovery:
    """Seconds from the SIGKILL of a worker to the next step of the job, by the other one.

    ``at`` is when it was killed, ``where`` at which boundary. ``story`` is what happened meanwhile,
    in order, with seconds since the kill.
    """

    seconds: float
    where: str
    at: float
    story: tuple[str, ...] = ()


def recoveries(record: Record) -> list[Recovery]:
    """All of one run.

    Kills are left out where that other one was struck too before it took a step: it was not alive.
    """
    found: list[Recovery] = []
    struck = sorted(item.at for item in record.injected if item.number)
    for item in record.injected:
        if item.fault.kind not in (Kind.KILL, Kind.KILL_ANYWHERE) or item.recovered is None:
            continue
        if not any(item.at < other < item.recovered for other in struck):
            where = item.boundary or str(item.fault.kind)
            found.append(Recovery(item.recovered - item.at, where, item.at))
    return found


async def told(recovery: Recovery, journal: Journal, client: JobClient, job_id: str) -> Recovery:
    """With its story: what the workers said, and Temporal's own events."""
    first, last = recovery.at - _BEFORE, recovery.at + recovery.seconds
    moments = [
        (p.at, f"{p.pid} {p.what} {p.about.get('boundary', '')}".rstrip()) for p in journal.passages
    ]
    # From the clock on the wall to that of the journal.
    shift = time.time() - time.monotonic()
    try:
        moments += [(at - shift, text) async for at, text in _events(client, job_id)]
    except (StopeError, RPCError) as error:
        # It is killed often here; what the workers said is there without it.
        moments.append((last, f"Temporal does not answer: {error}"))
    story = [
        f"{moment - recovery.at:+7.3f} s  {text}"
        for moment, text in sorted(moments)
        if first <= moment <= last
    ]
    return replace(recovery, story=tuple(story))


async def _events(client: JobClient, job_id: str) -> AsyncIterator[tuple[float, str]]:
    temporal = await client.temporal()
    opened = {workflow.id async for workflow in temporal.list_workflows()}
    for name in opened & {job_id, *(f"{job_id}/{stage}" for stage in STAGES)}:
        async for event in temporal.get_workflow_handle(name).fetch_history_events():
            kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
            who = name.removeprefix(job_id) or "the pipeline"
            yield event.event_time.ToNanoseconds() / 1e9, f"Temporal: {kind} of {who}"
