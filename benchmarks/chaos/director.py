"""Injects the faults of a plan into one run, and waits for the job to get through them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.billing import HEARTBEAT_SECONDS
from benchmarks.chaos.faults import Fault, Kind, Plan
from benchmarks.chaos.journal import Passage
from benchmarks.chaos.mirror import MirrorWatch
from benchmarks.chaos.orders import Act, Order
from benchmarks.chaos.place import Place
from benchmarks.chaos.record import Injected, Record

STUCK_SECONDS = 120.0
"""A job that takes no step for so long is stuck, and that is a failure."""

_POLL = 0.02
_THAW_SECONDS = 20.0
_FULL_SECONDS = 1.5
_LAST = ("/storing", "/completed")
_ACTS = {Kind.KILL: Act.KILL, Kind.ZOMBIE: Act.STOP, Kind.ARTIFACTS_FULL: Act.FULL}


class StuckError(AssertionError):
    """The job took no step for a long time."""


class Director:
    """One run's faults.

    Args:
        place: where it happens.
        plan: what is to happen.
        dice: decides how much work lies between two faults.
        resubmit: asks for the same job again, from two processes at once.
        mirror: looks at the checkpoint after each fault.
    """

    def __init__(
        self,
        place: Place,
        plan: Plan,
        dice: random.Random,
        resubmit: Callable[[], Awaitable[None]],
        mirror: MirrorWatch,
    ) -> None:
        self.record = Record()
        self._place = place
        self._plan = plan
        self._dice = dice
        self._resubmit = resubmit
        self._mirror = mirror
        self._orders: dict[int, Fault] = {}
        self._number = 0
        self._done = asyncio.Event()
        self._moved = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    async def direct(self, finished: asyncio.Task[None]) -> None:
        """Inject everything; ends when the job is finished.

        Raises:
            StuckError: the job takes no step any more.
        """
        for fault in self._plan.standing:
            self._order(fault)
        watching = asyncio.create_task(self._watch())
        injecting = asyncio.create_task(self._inject_all())
        finished.add_done_callback(lambda _: self._done.set())
        try:
            while not finished.done():
                if watching.done():
                    await watching
                if injecting.done():
                    await injecting
                if time.monotonic() - self._moved > STUCK_SECONDS:
                    raise StuckError(f"the job took no step for {STUCK_SECONDS:.0f} s")
                await asyncio.sleep(0.1)
            await finished
            await injecting
        finally:
            injecting.cancel()
            for task in self._tasks:
                await asyncio.gather(task, return_exceptions=True)
            self._take_up(self._place.journal.update())
            watching.cancel()
            await asyncio.gather(watching, injecting, return_exceptions=True)
        standing = self._place.orders.standing()
        self.record.missed += [self._orders[number] for number in standing]

    async def _inject_all(self) -> None:
        spoiling = iter(self._plan.troubles)
        for stage, faults in (
            (at.entered("mine", "mining"), self._plan.mining),
            (at.entered("flagship", "evaluating"), self._plan.judging),
        ):
            await self._until(partial(self._seen, stage))
            for fault in faults:
                trouble = next(spoiling, None)
                gap = [None] * self._dice.randint(0, 4)
                if trouble is not None:
                    self._place.llm.spoil([*gap, trouble])
                if self._done.is_set():
                    self.record.missed.append(fault)
                    continue
                await self._steps(self._dice.randint(2, 9))
                await self._inject(fault)
                await self._mirror.look(self.record)
            if stage == at.entered("mine", "mining"):
                for trouble in spoiling:
                    self._place.llm.spoil([*[None] * self._dice.randint(2, 9), trouble])

    async def _inject(self, fault: Fault) -> None:
        if fault.kind in _ACTS:
            number = self._order(fault)
            await self._until(lambda: number not in self._place.orders.standing())
            if self._place.orders.withdraw(number):
                self.record.missed.append(fault)
                return
            await self._until(lambda: any(item.number == number for item in self.record.injected))
            [injected] = [item for item in self.record.injected if item.number == number]
        else:
            self._number += 1
            injected = Injected(self._number, fault, time.monotonic())
            await self._at_large(injected)
        if injected.fault.kind not in (Kind.TWICE, Kind.DRAIN):
            await self._until(lambda: injected.recovered is not None)

    async def _at_large(self, injected: Injected) -> None:
        """What happens at no boundary."""
        place, kind = self._place, injected.fault.kind
        await asyncio.sleep(self._dice.random() * 0.05)
        injected.at = time.monotonic()
        self.record.injected.append(injected)
        worker = place.worker(self._last_pid()) or place.workers[0]
        if kind is Kind.KILL_ANYWHERE:
            injected.pid = worker.pid
            place.kill_worker(worker)
        elif kind is Kind.FREEZE:
            injected.pid = worker.pid
            worker.send(signal.SIGSTOP)
            await self._thaw(injected)
        elif kind is Kind.DRAIN:
            injected.pid = worker.pid
            worker.send(signal.SIGTERM)
            await worker.wait(60)
        elif kind in (Kind.SERVER, Kind.BOTH):
            await asyncio.to_thread(place.kill_server)
            if kind is Kind.BOTH:
                for each in list(place.workers):
                    place.kill_worker(each)
            await asyncio.to_thread(place.start_server)
        elif kind is Kind.POSTGRES:
            await asyncio.to_thread(place.kill_postgres)
        elif kind is Kind.RECORDS_FULL:
            place.orders.records_full = True
            await asyncio.sleep(_FULL_SECONDS)
            place.orders.records_full = False
            injected.at, injected.recovered = time.monotonic(), None
        else:
            await self._resubmit()

    async def _watch(self) -> None:
        while True:
            self._take_up(self._place.journal.update())
            await self._place.tend()
            await asyncio.sleep(_POLL)

    def _take_up(self, passages: list[Passage]) -> None:
        for passage in passages:
            self._moved = time.monotonic()
            if passage.what == at.FAULT:
                self._struck(passage)
                continue
            for injected in self.record.injected:
                if (
                    injected.recovered is None
                    and passage.at > injected.at
                    and passage.pid != injected.pid
                    and _is_step(passage.what, injected.boundary)
                ):
                    injected.recovered = passage.at

    def _struck(self, passage: Passage) -> None:
        """A worker says that it carries out an order."""
        number, place = passage.about["number"], self._place
        fault = self._orders[number]
        # Where a disk is full nobody dies: the same process may go on.
        pid = None if fault.kind is Kind.ARTIFACTS_FULL else passage.pid
        injected = Injected(number, fault, passage.at, pid, passage.about["boundary"])
        self.record.injected.append(injected)
        if fault.kind is Kind.KILL:
            place.deaths[passage.pid] = passage.at
        elif fault.kind is Kind.ZOMBIE:
            self._tasks.append(asyncio.create_task(self._thaw(injected)))

    async def _thaw(self, injected: Injected) -> None:
        """Let a stopped worker go on once another one has its work, and it is late for sure."""
        begun = time.monotonic()
        while injected.recovered is None or time.monotonic() - begun < 1.5 * HEARTBEAT_SECONDS:
            if time.monotonic() - begun > _THAW_SECONDS:
                break
            await asyncio.sleep(_POLL)
        pid = injected.pid or 0
        worker = self._place.worker(pid)
        self._place.frozen.setdefault(pid, []).append((injected.at, time.monotonic()))
        if worker is not None:
            worker.send(signal.SIGCONT)

    def _order(self, fault: Fault) -> int:
        self._number += 1
        self._orders[self._number] = fault
        self._place.orders.give(Order(self._number, fault.boundary, _ACTS[fault.kind]))
        return self._number

    async def _steps(self, count: int) -> None:
        """Let the job take so many steps."""
        before = len(self._place.journal.passages)
        await self._until(lambda: len(self._place.journal.passages) >= before + 8 * count)

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, or the job is done."""
        while not holds() and not self._done.is_set():  # noqa: ASYNC110  (other processes do it)
            await asyncio.sleep(_POLL)

    def _seen(self, what: str) -> bool:
        return any(passage.what == what for passage in self._place.journal.passages)

    def _last_pid(self) -> int:
        passages = self._place.journal.passages
        return passages[-1].pid if passages else 0


def _is_step(what: str, struck_at: str) -> bool:
    """Whether a passage shows that the job goes on after a fault at a boundary.

    In the midst of units that is a call or a committed unit, or that none is left; else also any
    change of a stage, or of the rows of a run, that is written.
    """
    if what in (at.BEFORE_CALL, at.AFTER_UNIT):
        return True
    if what.startswith("in ") and what.endswith(_LAST):
        return True
    if struck_at in at.UNIT_BOUNDARIES:
        return False
    return what.startswith(("in ", "after ")) and what != at.AFTER_MIRROR
