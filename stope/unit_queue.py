"""Which unit a run does next: its own turn, under a lease, or a wait for what another run makes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from stope.leases import Leases, pause_or_leave, pauses

if TYPE_CHECKING:
    from stope.units import Unit, UnitStore

Item = TypeVar("Item")

MOST_AHEAD = 16
AHEAD_SECONDS = 1.0
"""Leases are taken for so many units in one statement, or for as many as one slot does in so long:
quick units would cost more to lease than to do, and slow ones are left to others."""


class UnitQueue(Generic[Item]):
    """The units that are left, given out one by one to the workers of a run.

    Args:
        units: in the order in which they are to be done.
        slots: units in flight at most.
        store: where their outputs are looked for.
        leases: what the run's attempt holds; None where nobody else can be at the same units.
        leaving: whether no new unit is to be begun.
        draining: set when this worker is leaving.
        committed: told the outputs (JSON, by key) that another run has committed.
        news: called when the run begins to wait for another one.
    """

    def __init__(
        self,
        units: Iterable[Unit[Item]],
        slots: int,
        store: UnitStore,
        leases: Leases | None,
        *,
        leaving: Callable[[], bool],
        draining: asyncio.Event,
        committed: Callable[[Mapping[str, str]], Awaitable[None]],
        news: Callable[[], Awaitable[None]],
    ) -> None:
        self._untried = deque(units)
        self._ready: deque[Unit[Item]] = deque()
        self._elsewhere: deque[Unit[Item]] = deque()
        self._slots = slots
        self._store = store
        self._leases = leases
        self._leaving = leaving
        self._draining = draining
        self._committed = committed
        self._news = news
        self._choosing = asyncio.Lock()
        self._waits = False
        self._done, self._seconds = 0, 0.0

    @property
    def waiting(self) -> int:
        """Units that another run is making, while there is nothing else to do."""
        return len(self._elsewhere) if self._waits else 0

    async def next(self) -> Unit[Item] | None:
        """The next unit that is ours to do; None when none is left, or when it is time to go.

        While all that is left is being made by another run, this waits for its outputs.

        Raises:
            WorkerDrainingError: this worker leaves while it waits, or another has taken over.
        """
        async with self._choosing:
            growing = pauses()
            while not self._leaving():
                while self._ready:
                    unit = self._ready.popleft()
                    if self._leases is None or await self._ours(unit.key, self._leases):
                        return unit
                    self._untried.appendleft(unit)
                if not (self._untried or self._elsewhere):
                    return None
                if await self._lease():
                    self._waits, growing = False, pauses()
                elif not self._untried:
                    if not self._waits:
                        self._waits = True
                        await self._news()
                    await pause_or_leave(next(growing), self._draining)
        return None

    def finished(self, unit: Unit[Item], seconds: float) -> None:
        """A unit's output is committed; it took so long."""
        self._done += 1
        self._seconds += seconds
        if self._leases is not None:
            self._leases.finished([unit.key])

    async def give_up(self, unit: Unit[Item]) -> None:
        """A unit cannot be done by this run: another one may try."""
        if self._leases is not None:
            await self._leases.give_up([unit.key])

    @staticmethod
    async def _ours(key: str, leases: Leases) -> bool:
        """Whether we may begin a unit whose lease we took, perhaps a while ago."""
        return leases.sure(key) or await leases.confirmed(key)

    async def _lease(self) -> bool:
        """Try to get some units for us to do; whether any of them moved."""
        source = self._untried or self._elsewhere
        some = [source.popleft() for _ in range(min(len(source), self._so_many()))]
        if self._leases is None:
            self._ready.extend(some)
            return True
        keys = [unit.key for unit in some]
        taken = await self._leases.take(keys)
        # Looked for when they are ours: until then somebody may have committed them.
        stored = await self._store.read_outputs(keys)
        for unit in some:
            if unit.key not in stored:
                (self._ready if unit.key in taken else self._elsewhere).append(unit)
        self._leases.finished(stored)
        if stored:
            await self._committed(stored)
        return bool(taken or stored)

    def _so_many(self) -> int:
        if self._done == 0 or self._seconds == 0:
            return self._slots
        return max(1, min(MOST_AHEAD, int(AHEAD_SECONDS * self._done / self._seconds)))
