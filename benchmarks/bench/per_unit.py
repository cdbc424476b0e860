"""What a durable unit costs: our loop, an activity for each, a DBOS step for each, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.bench.bench import Bench, Turns
from benchmarks.bench.child import Child, started
from benchmarks.bench.load import Load
from benchmarks.bench.measure import Figure, Row, Series, difference, plain
from benchmarks.bench.pipeline import doubt_of
from benchmarks.bench.scripted import ScriptedServer
from benchmarks.bench.units.work import SideDone, SideWork
from stope.dev_server import DevServer

KEY = "overhead_per_unit"
LIMIT_MS = 1.5

_SEGMENTS, _QUICK_SEGMENTS = 200, 40
_WARM_UP = 10
_TURNS, _QUICK_TURNS = 5, 1
_SLOTS = (1, 16)
_LATENCY = 0.005
"""Seconds that the scripted model takes: little, so that nothing can hide behind it."""

_NOTES = (
    (
        "**A kill between an answer and its commit** costs our loop the calls in flight and "
        "nothing else; the activities those, and each whose answer was stored but whose end the "
        "server had not been told; the steps those in flight."
    ),
    (
        "**To be looked at while it runs**: with our loop every raw answer and its judgement, "
        "every committed unit and the checkpoint in SQL, and progress with time left in Temporal's "
        "Web UI; with an activity for each every activity in the Web UI, with six events of "
        "history each; with steps every finished step's output in DBOS's tables."
    ),
    (
        "**What is stored**: our loop commits a lease on the request, the raw answer before it is "
        "parsed, its judgement, then the unit's output: the answer with SQLite's "
        "`synchronous=FULL`, the others with `NORMAL`, which outlives every process (when the "
        "machine goes down, a lease has no holder left, and a judgement or an output that is lost "
        "is made again of the answer without paying); calls at once share commits. The activity "
        "commits the output with `FULL`, and its end is an event; the step is one commit of its "
        "output, by DBOS's own settings of SQLite. Neither of them stores requests or raw answers."
    ),
    (
        "**Another worker** takes over our stage and the activities when a worker is killed; DBOS "
        "on SQLite goes on when its own process is started again."
    ),
)


@dataclass(frozen=True)
class _Side:
    """A side: what it is called, its module, and whether it needs a Temporal server."""

    name: str
    module: str
    temporal: bool = False


_BARE = _Side("the calls alone", "benchmarks.bench.units.bare")
_OURS = _Side("our unit loop", "benchmarks.bench.units.loop", temporal=True)
_OTHERS = (
    _Side("one Temporal activity each", "benchmarks.bench.units.activities", temporal=True),
    _Side("one DBOS step each", "benchmarks.bench.units.dbos_steps"),
)
_SIDES = (_BARE, _OURS, *_OTHERS)


@dataclass
class _Measured:
    """Walls in seconds by side and calls at once, one for each turn, and what the loop noted."""

    segments: int
    walls: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    after_output: list[float] = field(default_factory=list)
    after_call: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """The share of the machine that others took, for each side of each turn."""

    def take(self, side: _Side, slots: int, done: SideDone) -> None:
        """Add one side of one turn."""
        self.walls.setdefault((side.name, slots), []).append(done.seconds)
        if done.after_output:
            self.after_output.append(1000 * median(done.after_output))
            self.after_call.append(1000 * median(done.after_call))

    def wall(self, side: _Side, slots: int) -> Series:
        """All of a side's time."""
        return Series(
            name=f"{side.name}, {_at_once(slots)}: all",
            unit="s",
            values=tuple(self.walls[side.name, slots]),
        )

    def overhead(self, side: _Side, slots: int) -> Series:
        """What a side took longer than the calls alone in the same turn, by segment."""
        alone = self.walls[_BARE.name, slots]
        return Series(
            name=f"{side.name}, {_at_once(slots)}",
            unit="ms",
            values=tuple(
                1000 * (wall - bare) / self.segments
                for wall, bare in zip(self.walls[side.name, slots], alone, strict=True)
            ),
        )


async def measure(bench: Bench) -> Row:
    """The row."""
    turns = Turns(KEY)
    found = _Measured(_QUICK_SEGMENTS if bench.quick else _SEGMENTS)
    with bench.row(KEY) as folder, ScriptedServer(_LATENCY) as server:
        for turn in range(_QUICK_TURNS if bench.quick else _TURNS):
            # Whoever comes first finds another machine than whoever comes last.
            for side in _SIDES if turn % 2 == 0 else _SIDES[::-1]:
                turns.say(f"{side.name}, turn {turn + 1}")
                place = folder / f"{turn}-{side.module.rsplit('.', 1)[-1]}"
                async with _ready(bench, side, server.model, place) as child:
                    load = Load()
                    for slots, done in await _asked(child, found.segments):
                        found.take(side, slots, done)
                    found.others.append(load.of_others())
    return _row(found)


@asynccontextmanager
async def _ready(bench: Bench, side: _Side, model: str, place: Path) -> AsyncIterator[Child]:
    """A side in a process and a home of its own; nothing of another side runs meanwhile."""
    settings = bench.settings(place, model)
    server = DevServer(settings)
    if side.temporal:
        await asyncio.to_thread(server.ensure)
    try:
        async with started(side.module, settings, place / "side.log") as child:
            yield child
    finally:
        if side.temporal:
            await asyncio.to_thread(server.stop)


async def _asked(child: Child, segments: int) -> list[tuple[int, SideDone]]:
    found: list[tuple[int, SideDone]] = []
    for slots in _SLOTS:
        for name, count in ((f"warm-{slots}", max(_WARM_UP, slots)), (f"timed-{slots}", segments)):
            work = SideWork(name=name, segments=count, slots=slots)
            done = SideDone.model_validate(await child.ask(work.model_dump(mode="json")))
        found.append((slots, done))
    return found


def _row(found: _Measured) -> Row:
    after_output = Series(
        name="our unit loop: from a unit's output to the next unit",
        unit="ms",
        values=tuple(found.after_output),
    )
    after_call = Series(
        name="our unit loop: from an answer to the next call",
        unit="ms",
        values=tuple(found.after_call),
    )
    overheads = {
        (side.name, slots): found.overhead(side, slots)
        for side in (_OURS, *_OTHERS)
        for slots in _SLOTS
    }
    figures = (
        plain("commit, heartbeat and mirror of a unit", after_output, LIMIT_MS),
        *(_lead(overheads, slots) for slots in _SLOTS),
        plain("the same with the ledger: from an answer to the next call", after_call),
        *(plain(f"{series.name}: by segment", series) for series in overheads.values()),
    )
    doubt = doubt_of(1.0, found.others) if found.others else None
    return Row(
        key=KEY,
        figures=tuple(figure.model_copy(update={"doubt": doubt}) for figure in figures),
        series=(
            after_output,
            after_call,
            *overheads.values(),
            *(found.wall(side, slots) for side in _SIDES for slots in _SLOTS),
        ),
        notes=_NOTES,
    )


def _lead(overheads: dict[tuple[str, int], Series], slots: int) -> Figure:
    """Our cost of a segment less that of the cheapest other; not above zero, if ours is least."""
    others: Sequence[Series] = [overheads[side.name, slots] for side in _OTHERS]
    cheapest = min(others, key=lambda series: series.median)
    return difference(
        f"our loop less the cheapest other ({cheapest.name})",
        overheads[_OURS.name, slots],
        cheapest,
        "ms",
    ).model_copy(update={"limit": 0.0})


def _at_once(slots: int) -> str:
    return "one at a time" if slots == 1 else f"{slots} at once"
