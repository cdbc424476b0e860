"""The faults that there are, and which of them a run meets: drawn from its seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.trouble import Trouble


class Kind(StrEnum):
    """What is done. A fault of the language model is a ``Trouble``."""

    KILL = "SIGKILL of a worker at a boundary"
    KILL_ANYWHERE = "SIGKILL of a worker, anywhere"
    ZOMBIE = "worker stopped at a boundary, back when another has its work (zombie attempt)"
    FREEZE = "SIGSTOP of a worker for longer than the heartbeat time-out, anywhere"
    DRAIN = "SIGTERM of a worker"
    SERVER = "SIGKILL of the Temporal server"
    BOTH = "SIGKILL of the Temporal server and all workers"
    POSTGRES = "SIGKILL of PostgreSQL"
    RECORDS_FULL = "disk full, for the records"
    ARTIFACTS_FULL = "disk full, for an artifact"
    TWICE = "duplicate submission, from two processes at once"


SQLITE_ONLY = frozenset({Kind.RECORDS_FULL})
POSTGRES_ONLY = frozenset({Kind.POSTGRES})

STAGES = {
    "transcribe": ("validating", "transcribing", "diarizing", "storing", "completed"),
    "mine": ("parsing", "mining", "storing", "completed"),
    "flagship": ("loading", "evaluating", "storing", "completed"),
}

ROWS = (
    *(("open", name) for name in ("pipeline", "mine", "flagship")),
    *(("stage", name) for name in ("mine", "flagship")),
    ("note", "pipeline"),
    *(("close", name) for name in ("mine", "flagship", "pipeline")),
)


def changes(*job_types: str) -> tuple[str, ...]:
    """The boundaries of every change of stage of some job types."""
    return tuple(
        boundary
        for job_type in job_types
        for stage in STAGES[job_type]
        for boundary in (at.entering(job_type, stage), at.entered(job_type, stage))
    )


def rows() -> tuple[str, ...]:
    """The boundaries of every row that opens, notes or closes a run of a pipeline."""
    return tuple(
        boundary
        for row, job_type in ROWS
        for boundary in (at.writing(row, job_type), at.written(row, job_type))
    )


@dataclass(frozen=True)
class Fault:
    """One fault of a plan. ``boundary`` is where, for those that happen at one."""

    kind: Kind
    boundary: str = ""


@dataclass(frozen=True)
class Plan:
    """What one run meets.

    ``standing`` happens whenever the boundary is passed, ``mining`` and ``judging`` one after the
    other while the stage works, ``troubles`` to calls in between.
    """

    standing: tuple[Fault, ...]
    mining: tuple[Fault, ...]
    judging: tuple[Fault, ...]
    troubles: tuple[Trouble, ...]

    def __len__(self) -> int:
        # One more: every run is submitted twice at once.
        return 1 + sum(
            map(len, (self.standing, self.mining, self.judging, self.troubles)),
        )


_KILLS = tuple(Fault(Kind.KILL, boundary) for boundary in at.UNIT_BOUNDARIES)
_ZOMBIES = tuple(
    Fault(Kind.ZOMBIE, boundary)
    for boundary in (at.AFTER_ANSWER, at.AFTER_LEDGER, at.BEFORE_UNIT, at.BEFORE_MIRROR)
)
_RARE = tuple(
    Fault(kind)
    for kind in (
        *(Kind.KILL_ANYWHERE, Kind.KILL_ANYWHERE, Kind.FREEZE, Kind.DRAIN, Kind.SERVER),
        *(Kind.BOTH, Kind.POSTGRES, Kind.RECORDS_FULL, Kind.TWICE),
    )
)


def _possible(faults: Sequence[Fault], postgres: bool) -> list[Fault]:
    away = SQLITE_ONLY if postgres else POSTGRES_ONLY
    return [fault for fault in faults if fault.kind not in away]


def long_plan(dice: random.Random, postgres: bool) -> Plan:
    """About fifty faults: kills at every unit boundary, and a part of all the others."""
    mining = [
        *_KILLS,
        *dice.sample(_KILLS, 3),
        *dice.sample(_ZOMBIES, 2),
        *dice.sample(_possible(_RARE, postgres), 4),
    ]
    dice.shuffle(mining)
    judging = [*dice.sample(_KILLS, 3), *dice.sample(_possible(_RARE, postgres), 1)]
    dice.shuffle(judging)
    standing = [
        *(Fault(Kind.KILL, name) for name in dice.sample(changes("mine", "flagship"), 8)),
        *(Fault(Kind.KILL, name) for name in dice.sample(rows(), 4)),
        *([Fault(Kind.ARTIFACTS_FULL, at.ARTIFACT)] if dice.random() < 0.5 else []),
    ]
    troubles = [*Trouble, *Trouble, *dice.sample(list(Trouble), 4)]
    dice.shuffle(troubles)
    return Plan(tuple(standing), tuple(mining), tuple(judging), tuple(troubles))


def audio_plan(dice: random.Random) -> Plan:
    """For a run that transcribes: kills at its changes of stage and around its units."""
    units = (at.BEFORE_UNIT, at.AFTER_UNIT, at.BEFORE_MIRROR, at.AFTER_MIRROR)
    names = [*dice.sample(changes("transcribe"), 6), *dice.sample(units, 3)]
    return Plan(tuple(Fault(Kind.KILL, name) for name in names), (), (), ())


def short_plans(dice: random.Random) -> tuple[Plan, Plan]:
    """Every kind once, every stage change once: a run on SQLite and one on PostgreSQL."""
    pairs = zip(*[iter(changes("mine", "flagship"))] * 2, strict=True)
    stages = [Fault(Kind.KILL, dice.choice(pair)) for pair in pairs]
    others = [Fault(Kind.KILL, name) for name in dice.sample(rows(), 2)]
    return (
        Plan(
            (*stages[::2], *others[:1], Fault(Kind.ARTIFACTS_FULL, at.ARTIFACT)),
            (*_KILLS[::2], _ZOMBIES[0], Fault(Kind.RECORDS_FULL), Fault(Kind.SERVER)),
            (Fault(Kind.KILL_ANYWHERE),),
            tuple(Trouble),
        ),
        Plan(
            (*stages[1::2], *others[1:]),
            (*_KILLS[1::2], Fault(Kind.FREEZE), Fault(Kind.POSTGRES), Fault(Kind.TWICE)),
            # Others do the rest while a worker drains, perhaps all of it: that comes last.
            (Fault(Kind.BOTH), Fault(Kind.DRAIN)),
            (),
        ),
    )
