"""Leases: who is making what just now, so that others wait for it instead of paying again.

A lease is on a key: a unit's or a request's. Its holder renews it while it lives and lets go when
the work failed. After work that gave a committed output the lease is left to run out: whoever
wants the same looks for the output first, and a write for every unit is saved.

Nobody waits for a unit's lease while holding one whose work has not begun, and who holds an
answer's lease waits for no other, so there is no circle of waiting.

A new attempt at a run takes over at once what earlier attempts at it held, and an earlier attempt
that is still alive gets nothing more: it stops instead of paying for what the new one does.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from stope.errors import StopeError, WorkerDrainingError
from stope.identity import digest_bytes, digest_of

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""After so long without a renewal a holder counts as dead."""

RENEWALS = 3
"""In the time that a lease lasts."""

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 1.0, 1.6
"""Seconds between two looks at what somebody else is making."""

_LONGEST_RUN_ID = 36


@dataclass(frozen=True)
class Holder:
    """An attempt at a run: ``run/when it began/random``, at most 64 characters.

    ``family`` begins the names of all attempts at the run; they sort by when they began. ``fence``
    is the key whose lease the newest of them holds.
    """

    name: str
    family: str
    fence: str

    @classmethod
    def of(cls, run_id: str, began: datetime) -> Holder:
        """The holder of an attempt, unlike any other."""
        short = run_id if len(run_id) <= _LONGEST_RUN_ID else digest_bytes(run_id.encode())[:32]
        began_ms = max(0, int(began.timestamp() * 1000))
        return cls(
            name=f"{short}/{began_ms:014d}/{secrets.token_hex(5)}",
            family=f"{short}/",
            fence=digest_of(["attempt", run_id]),
        )


Look = Callable[[Any], None]
"""Looks at something right after leases were taken, in the same transaction, whose connection it is
given. Like every transaction it may be done again: what counts is what it saw last."""


class LeaseStore(Protocol):
    """Where leases are. Its own clock decides when one has run out."""

    async def take(
        self, keys: Sequence[str], holder: Holder, seconds: float, look: Look | None = None
    ) -> frozenset[str]:
        """Take, in one step, those of some keys that are free, and say which; then look.

        Free is what nobody holds, what has run out, what an earlier attempt at the same run holds,
        and what the holder has itself: it may not have heard that it got it.

        Raises:
            WorkerDrainingError: a later attempt at the run has begun; nothing is taken.
        """

    async def renew(self, keys: Sequence[str], holder: Holder, seconds: float) -> frozenset[str]:
        """Prolong what the holder still has among some keys, and say which that is."""

    async def release(self, keys: Sequence[str], holder: Holder) -> None:
        """Let go of what the holder has among some keys."""

    async def release_all(self, holder: Holder) -> None:
        """Let go of everything the holder has, and sweep out what ran out long ago."""


class Leases:
    """What one attempt at a run holds; as a context manager it renews, and lets go at the end.

    Of several in one attempt who ask for the same key, one gets it.

    Args:
        store: where leases are.
        run_id: the run.
        began: when this attempt was begun; later attempts at the run have later times.
        seconds: how long a lease lasts without renewal.
    """

    def __init__(
        self, store: LeaseStore, run_id: str, began: datetime, seconds: float = LEASE_SECONDS
    ) -> None:
        self.holder = Holder.of(run_id, began)
        self._store = store
        self._seconds = seconds
        self._until: dict[str, float] = {}
        self._asking: set[str] = set()
        self._fenced = False
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Leases:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        self._until.clear()
        try:
            await self._store.release_all(self.holder)
        except StopeError as trouble:
            log.warning("leases were not let go, they run out by themselves: %s", trouble)

    async def take(self, keys: Sequence[str], look: Look | None = None) -> frozenset[str]:
        """See ``LeaseStore``. What this attempt holds or asks for already is not given again."""
        wanted = [key for key in keys if key not in self._until and key not in self._asking]
        if not wanted and look is None:
            return frozenset()
        self._asking.update(wanted)
        # Wall time: a process that was frozen, or a machine that slept, must notice it.
        until = time.time() + self._seconds
        try:
            taken = await self._store.take(wanted, self.holder, self._seconds, look)
        finally:
            self._asking.difference_update(wanted)
        self._fenced = True
        self._until.update(dict.fromkeys(taken, until))
        return taken

    def sure(self, key: str) -> bool:
        """Whether a key is certainly still ours."""
        return time.time() < self._until.get(key, 0.0)

    async def confirmed(self, key: str) -> bool:
        """Whether a key is still ours, as the store says; if so it is renewed.

        It is not once a later attempt at the run has begun, even one that has not come to it yet.

        Raises:
            RecordsBusyError: the database does not answer.
        """
        until = time.time() + self._seconds
        both = {key, self.holder.fence}
        if not both <= await self._store.renew(list(both), self.holder, self._seconds):
            self._until.pop(key, None)
            return False
        self._until[key] = until
        return True

    def finished(self, keys: Iterable[str]) -> None:
        """There are outputs of these: they are renewed no more."""
        for key in keys:
            self._until.pop(key, None)

    async def give_up(self, keys: Sequence[str]) -> None:
        """The work on these failed: somebody else may try.

        A database that does not answer is no further failure: the leases run out by themselves.
        """
        held = [key for key in keys if self._until.pop(key, None) is not None]
        if not held:
            return
        try:
            await self._store.release(held, self.holder)
        except StopeError as error:
            log.warning("leases were not let go, they run out by themselves: %s", error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / RENEWALS)
            keys = list(self._until)
            if not self._fenced:
                continue
            until = time.time() + self._seconds
            try:
                # The fence too: without it an earlier attempt that wakes up could take leases.
                kept = await self._store.renew(
                    [*keys, self.holder.fence], self.holder, self._seconds
                )
            except StopeError as error:
                log.warning("leases could not be renewed: %s", error)
                continue
            for key in keys:
                if key in kept and key in self._until:
                    self._until[key] = until
                elif self._until.pop(key, None) is not None:
                    log.warning("a lease was lost to somebody who took this worker for dead")


def pauses() -> Iterator[float]:
    """Seconds between looks, growing."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(LONGEST_PAUSE, pause * GROWTH)


async def pause_or_leave(seconds: float, draining: asyncio.Event) -> None:
    """Wait, unless this worker is leaving.

    Raises:
        WorkerDrainingError: it is.
    """
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(draining.wait(), seconds)
    if draining.is_set():
        raise WorkerDrainingError(
            "This worker is leaving while it waits for somebody else; any worker on this queue "
            "goes on."
        )
