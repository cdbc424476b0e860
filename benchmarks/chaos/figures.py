"""The figures of a sweep, each computed from its runs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.billing import Cause, most_per_death
from benchmarks.chaos.faults import Fault, Kind
from benchmarks.chaos.place import SLOTS
from benchmarks.chaos.recovery import RECOVERY_SECONDS
from benchmarks.chaos.sweep import Sweep

_PROCESS_KINDS = frozenset(Kind) - {Kind.TWICE}


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    what: str
    reach: str
    measured: str
    elsewhere: str
    met: bool
    timed: bool = False
    """Whether it is a time, which on a busy machine says more about the machine."""


def by_kind(sweep: Sweep) -> dict[str, int]:
    """How many faults of each kind happened, boundaries apart, the most first."""
    counts: Counter[str] = Counter()
    for episode in sweep.episodes:
        counts.update(_name(item.fault) for item in episode.record.injected)
        counts.update(f"language model: {trouble}" for trouble in episode.troubles)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def process_faults(sweep: Sweep) -> int:
    """Faults of processes and disks, without those of the language model."""
    return sum(
        item.fault.kind in _PROCESS_KINDS
        for episode in sweep.episodes
        for item in episode.record.injected
    )


def kills(sweep: Sweep) -> int:
    """Processes' ends by SIGKILL: of workers, servers and PostgreSQL."""
    ending = {Kind.KILL, Kind.KILL_ANYWHERE, Kind.SERVER, Kind.BOTH, Kind.POSTGRES}
    return sum(
        item.fault.kind in ending for episode in sweep.episodes for item in episode.record.injected
    )


def paid_again(sweep: Sweep, *causes: Cause) -> int:
    """Answers too many, for some causes."""
    return sum(item.cause in causes for episode in sweep.episodes for item in episode.again)


def figures(sweep: Sweep) -> list[Figure]:
    """The table."""
    said = sweep.violations
    lost = _matching(said, "was committed and is", "gone or another one")
    rows = _matching(said, "the rows of", "too many", "are missing", "runs", "the ids")
    ahead = _matching(said, "is ahead of the truth", "went back")
    hashes = sum(
        episode.truth is not None
        and episode.truth.result == sweep.undisturbed[episode.job_type].result
        for episode in sweep.episodes
    )
    deaths = paid_again(sweep, Cause.DEATH)
    most = max((most_per_death(episode.again) for episode in sweep.episodes), default=0)
    frozen, line = paid_again(sweep, Cause.FROZEN), paid_again(sweep, Cause.LINE)
    silent = paid_again(sweep, Cause.SILENT)
    after = paid_again(sweep, Cause.COMMITTED, Cause.TOGETHER, Cause.UNKNOWN)
    times = [recovery.seconds for episode in sweep.episodes for recovery in episode.recoveries]
    middle = statistics.median(times) if times else 0.0
    runs = len(sweep.episodes)
    looked = sum(episode.record.mirrors_looked_at for episode in sweep.episodes)
    return [
        Figure(
            "committed units or paid answers lost",
            "0",
            str(lost),
            "0 in 100 runs (stepledger)",
            lost == 0,
        ),
        Figure(
            "calls billed twice after the answer was committed", "0", str(after), "—", after == 0
        ),
        Figure(
            "calls billed twice because death came between answer and commit",
            "≤ 1 per slot in flight per kill, counted",
            f"{deaths} in {runs} runs; at most {most} for one kill, with {SLOTS} slots",
            "17 in 100 runs (stepledger)",
            most <= SLOTS,
        ),
        Figure(
            "calls billed twice because a worker was stopped for longer than the heartbeat "
            "time-out; because a busy one or its server missed heartbeats for so long; because the "
            "connection broke in the middle of the answer",
            "counted",
            f"{frozen}; {silent}; {line}",
            "—",
            True,
        ),
        Figure(
            "duplicate or divergent rows, mirror ahead of the truth",
            "0",
            f"{rows} and {ahead}, in {looked} looks at the mirrors",
            "0",
            rows + ahead == 0,
        ),
        Figure(
            "final output's hash equals the uninterrupted run's",
            "always",
            f"{hashes} of {runs} runs",
            "—",
            hashes == runs,
        ),
        Figure(
            "recovery after SIGKILL of a worker, with another one alive",
            f"≤ heartbeat time-out + 2 s = {RECOVERY_SECONDS:g} s",
            f"median {middle:.2f} s, longest {max(times, default=0):.2f} s, of {len(times)}",
            "—",
            max(times, default=0) <= RECOVERY_SECONDS,
            timed=True,
        ),
    ]


def _name(fault: Fault) -> str:
    if fault.kind is Kind.KILL and fault.boundary not in at.UNIT_BOUNDARIES:
        change = "/" in fault.boundary
        return f"{fault.kind}: {'a change of stage' if change else 'rows of a run'}"
    if fault.kind in (Kind.KILL, Kind.ZOMBIE):
        return f"{fault.kind}: {fault.boundary}"
    return str(fault.kind)


def _matching(said: Iterable[str], *parts: str) -> int:
    return sum(any(part in text for part in parts) for text in said)
