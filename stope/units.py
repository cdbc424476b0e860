"""The durable unit: plan, do, commit, resume. One loop for every stage.

A stage's work is a list of units in a stored, immutable plan. Each unit has a key, the hash of
everything that decides its output. A committed output is read back, never made again; a new one
is committed the moment it exists, and only then reported. What another run is making just now is
waited for (``stope.leases``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from stope.errors import StageFailedError, UnitError, WorkerDrainingError
from stope.leases import Leases
from stope.models.gap import Gap
from stope.unit_queue import UnitQueue

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Output = TypeVar("Output", bound=BaseModel)
PlanModel = TypeVar("PlanModel", bound=BaseModel)

FLIGHT_GRACE = 120.0
"""Seconds that units in flight may take to finish and commit after a cancellation. A call to a
language model that has begun by then is waited for however long it takes (``stope.llm.ledger``)."""


@dataclass(frozen=True)
class Unit(Generic[Item]):
    """One piece of work: its name in the plan, its content key, and what it works on.

    ``start`` and ``end`` are seconds in the recording, for naming a gap.
    """

    id: str
    key: str
    item: Item
    start: float | None = None
    end: float | None = None


class UnitStore(Protocol):
    """Where plans and unit outputs are committed. Both are immutable once written."""

    async def use(self, kind: str, keys: Mapping[str, str]) -> None:
        """Note what is needed from now on, before it is read: keys of plans or units by name."""

    async def read_plan(self, key: str) -> str | None:
        """The JSON of the plan stored under a key."""

    async def write_plan(self, key: str, stage: str, body: str) -> None:
        """Store a plan; does nothing when the key has one."""

    async def read_outputs(self, keys: Sequence[str]) -> dict[str, str]:
        """The committed outputs (JSON) among some keys."""

    async def commit(self, key: str, stage: str, output: str, seconds: float) -> bool:
        """Store an output and say so; does nothing, and says False, when the key has one."""


@dataclass
class Tally:
    """How far a run of units is. ``committed`` holds unit ids in plan order."""

    total: int
    committed: list[str] = field(default_factory=list)
    reused: int = 0
    gaps: list[Gap] = field(default_factory=list)
    cursor: str | None = None
    waiting: int = 0
    """Units that another run is making just now, and this one has nothing else to do."""
    elapsed: float = 0.0
    engine_seconds: float = 0.0
    """In the units that were done, those in flight at the same time added up."""
    audio: float = 0.0
    """Seconds of the recording in the units that were not committed before."""


@dataclass(frozen=True)
class UnitOutputs(Generic[Output]):
    """What a run of units gave: outputs by unit id, in plan order, and the gaps."""

    outputs: dict[str, Output]
    gaps: tuple[Gap, ...]
    reused: int
    engine_seconds: float

    def metrics(self) -> dict[str, object]:
        """The run of units as numbers for the run's record."""
        return {
            "units_done": len(self.outputs) - self.reused,
            "units_reused": self.reused,
            "engine_seconds": round(self.engine_seconds, 3),
        }


async def stored_plan(
    store: UnitStore,
    key: str,
    stage: str,
    model: type[PlanModel],
    make: Callable[[], Awaitable[PlanModel]],
) -> PlanModel:
    """The plan under a key: read when it is there, else made, stored and read back.

    It is read back because another attempt may have stored its own first; one plan is followed
    by all.
    """
    await store.use("plan", {model.__name__: key})
    body = await store.read_plan(key)
    if body is None:
        await store.write_plan(key, stage, (await make()).model_dump_json())
        body = await store.read_plan(key)
        if body is None:
            raise AssertionError(f"plan {key} vanished between write and read")
    return model.model_validate_json(body)


async def run_units(
    units: Sequence[Unit[Item]],
    do: Callable[[Unit[Item]], Awaitable[Output]],
    *,
    stage: str,
    store: UnitStore,
    output: type[Output],
    concurrency: int,
    report: Callable[[Tally], Awaitable[None]],
    draining: asyncio.Event,
    leases: Leases | None = None,
) -> UnitOutputs[Output]:
    """Do the units that have no committed output, and return all outputs in plan order.

    Args:
        units: the plan. Units of equal key are done once.
        do: makes one unit's output.
        stage: name for the store and the gaps.
        store: where outputs are committed.
        output: the type of an output.
        concurrency: units in flight at most.
        report: called at the start and after every commit, never before it.
        draining: when set, no new unit is begun. A cancellation sets it.
        leases: what this attempt holds; None where nobody else can be at the same units.

    Raises:
        StopeError: the first error that is not a ``UnitError``, after the units in flight have
            finished and committed.
        WorkerDrainingError: ``draining`` was set before all units were done.
        StageFailedError: there were units and not one has an output.
    """
    loop = _UnitLoop(units, do, stage, store, report, draining)
    await store.use("unit", {unit.id: unit.key for unit in units})
    stored = await store.read_outputs(list(dict.fromkeys(unit.key for unit in units)))
    loop.begin(
        {key: output.model_validate_json(text) for key, text in stored.items()},
        output,
        slots := max(1, concurrency),
        leases,
    )
    await report(loop.tally())
    await _finish_flights([asyncio.create_task(loop.work()) for _ in range(slots)], draining)
    await loop.take_what_others_made()
    return loop.outcome()


class _UnitLoop(Generic[Item, Output]):
    """The state of one ``run_units``, shared by its concurrent workers."""

    def __init__(
        self,
        units: Sequence[Unit[Item]],
        do: Callable[[Unit[Item]], Awaitable[Output]],
        stage: str,
        store: UnitStore,
        report: Callable[[Tally], Awaitable[None]],
        draining: asyncio.Event,
    ) -> None:
        self._units = units
        self._do = do
        self._stage = stage
        self._store = store
        self._report = report
        self._draining = draining
        self._output: type[Output]
        self._made: dict[str, Output] = {}
        self._reused: set[str] = set()
        self._places: dict[str, list[int]] = {}
        """Where in the plan the units of a key are."""
        self._done: list[int] = []
        self._ids: list[str] = []
        """Places and ids of the units with an output, in plan order."""
        self._reused_units = 0
        self._audio = 0.0
        self._failed: dict[str, str] = {}
        self._todo: list[Unit[Item]] = []
        self._queue: UnitQueue[Item]
        self._trouble: list[Exception] = []
        self._cursor: str | None = None
        self._seconds = 0.0
        self._began = time.monotonic()
        self._reporting = asyncio.Lock()

    def begin(
        self,
        stored: dict[str, Output],
        output: type[Output],
        slots: int,
        leases: Leases | None,
    ) -> None:
        """Take what is committed, and line up the first unit of every other key."""
        self._output = output
        for place, unit in enumerate(self._units):
            self._places.setdefault(unit.key, []).append(place)
        for key, made in stored.items():
            self._take(key, made, reused=True)
        first_of_key: dict[str, Unit[Item]] = {}
        for unit in self._units:
            if unit.key not in stored:
                first_of_key.setdefault(unit.key, unit)
        self._todo = list(first_of_key.values())
        self._queue = UnitQueue(
            self._todo,
            slots,
            self._store,
            leases,
            leaving=self._leaving,
            draining=self._draining,
            committed=self._read,
            news=self._say,
        )

    def tally(self) -> Tally:
        """How far it is."""
        return Tally(
            total=len(self._units),
            committed=self._ids.copy(),
            reused=self._reused_units,
            gaps=_gaps(self._units, self._failed, self._stage) if self._failed else [],
            cursor=self._cursor,
            waiting=self._queue.waiting,
            elapsed=time.monotonic() - self._began,
            engine_seconds=self._seconds,
            audio=self._audio,
        )

    def _take(self, key: str, made: Output, *, reused: bool = False) -> None:
        """There is an output: counted here, so that a report need not look through all units."""
        known = key in self._made
        self._made[key] = made
        if known:
            return
        if reused:
            self._reused.add(key)
        for place in self._places.get(key, ()):
            unit = self._units[place]
            at = bisect(self._done, place)
            self._done.insert(at, place)
            self._ids.insert(at, unit.id)
            if reused:
                self._reused_units += 1
            elif unit.start is not None and unit.end is not None:
                self._audio += unit.end - unit.start

    async def work(self) -> None:
        """Do units until none is left, something is wrong, or somebody wants us to stop."""
        try:
            while (unit := await self._queue.next()) is not None:
                await self._finish(unit)
        except Exception as error:  # noqa: BLE001  (raised by outcome(), after the flights)
            self._trouble.append(error)

    async def _finish(self, unit: Unit[Item]) -> None:
        """Do a unit, commit its output, and report."""
        started = time.monotonic()
        try:
            result = await self._do(unit)
            seconds = time.monotonic() - started
            text = result.model_dump_json()
            if not await self._store.commit(unit.key, self._stage, text, seconds):
                # Somebody took us for dead and was faster. Theirs is what everybody reads.
                result = await self._committed(unit.key)
        except UnitError as error:
            log.warning("%s: %s: %s", self._stage, unit.id, error)
            self._failed[unit.key] = str(error)
            await self._queue.give_up(unit)
        except BaseException:
            await self._queue.give_up(unit)
            raise
        else:
            self._take(unit.key, result)
            self._seconds += seconds
            self._cursor = unit.id
            self._queue.finished(unit, seconds)
        await self._say()

    async def _say(self) -> None:
        async with self._reporting:
            await self._report(self.tally())

    async def _committed(self, key: str) -> Output:
        return self._output.model_validate_json((await self._store.read_outputs([key]))[key])

    async def _read(self, stored: Mapping[str, str]) -> None:
        """Another run has committed these."""
        for key, text in stored.items():
            self._take(key, self._output.model_validate_json(text), reused=True)
        await self._say()

    async def take_what_others_made(self) -> None:
        """Of the units that we could not do: another run may have had better luck meanwhile."""
        if self._trouble or not self._failed:
            return
        stored = await self._store.read_outputs(list(self._failed))
        for key in stored:
            del self._failed[key]
        if stored:
            await self._read(stored)

    def _leaving(self) -> bool:
        return bool(self._trouble) or self._draining.is_set()

    def outcome(self) -> UnitOutputs[Output]:
        """All outputs, or why there are not."""
        if self._trouble:
            raise self._trouble[0]
        settled = self._made.keys() | self._failed.keys()
        undone = [unit for unit in self._todo if unit.key not in settled]
        total = len(self._units)
        if undone:
            raise WorkerDrainingError(
                f"This worker is leaving with {len(undone)} of {total} {self._stage} units to do; "
                "any worker on this queue goes on with them."
            )
        if self._units and not self._made:
            reason = next(iter(self._failed.values()))
            raise StageFailedError(
                f"Not one of {total} {self._stage} units could be done: {reason}"
            )
        return UnitOutputs(
            outputs={u.id: self._made[u.key] for u in self._units if u.key in self._made},
            gaps=tuple(_gaps(self._units, self._failed, self._stage)),
            reused=sum(unit.key in self._reused for unit in self._units),
            engine_seconds=self._seconds,
        )


def _gaps(units: Sequence[Unit[Item]], failed: dict[str, str], stage: str) -> list[Gap]:
    return [
        Gap(
            stage=stage,
            unit_id=unit.id,
            reason=failed[unit.key],
            start=unit.start,
            end=unit.end,
        )
        for unit in units
        if unit.key in failed
    ]


async def _finish_flights(tasks: list[asyncio.Task[None]], draining: asyncio.Event) -> None:
    """Wait for the workers. When cancelled, give units in flight time to commit, then end them.

    What only waits, for another run or for a provider, sees ``draining`` and leaves at once.
    """
    try:
        await asyncio.gather(*map(asyncio.shield, tasks))
    except asyncio.CancelledError:
        draining.set()
        await asyncio.wait(tasks, timeout=FLIGHT_GRACE)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
