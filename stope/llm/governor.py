"""The governor of a provider: every call of this process to it passes here, whoever makes it.

A refusal for coming too fast (429) is waited out here, inside the call, and pauses all calls to the
provider. Who came first goes first. Only what has been refused for minutes goes further up.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from stope.errors import ProviderRateLimitedError, WorkerDrainingError
from stope.llm.pace import Pace, Ticket

log = logging.getLogger(__name__)

T = TypeVar("T")
Note = Callable[[str | None], None]


def no_note(_text: str | None) -> None:
    """Nobody is told."""


class Governor:
    """Lets the calls to one provider begin.

    Args:
        provider: its name, for people.
        ceiling: calls at once, at most and to begin with.
        clock: seconds, from anywhere.
    """

    def __init__(
        self, provider: str, ceiling: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.provider = provider
        self.pace = Pace(ceiling)
        self._clock = clock
        self._arrivals = count()
        self._queue: list[tuple[int, asyncio.Future[Ticket]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._last_refusal = ""

    async def call(
        self,
        do: Callable[[], Awaitable[T]],
        *,
        note: Note = no_note,
        draining: asyncio.Event | None = None,
    ) -> T:
        """What a call gives, made as soon as the provider bears it.

        Args:
            do: makes the call once; it is made again after a refusal.
            note: told what is waited for, and None when it is over.
            draining: when set, a call that has not begun is not begun.

        Raises:
            ProviderRateLimitedError: there were only refusals for ten minutes, or the provider asks
                for a longer wait.
            WorkerDrainingError: ``draining`` was set before the call could begin.
        """
        arrival = next(self._arrivals)
        while True:
            ticket = await self._admitted(arrival, note, draining)
            try:
                found = await do()
            except ProviderRateLimitedError as error:
                self._refused(ticket, error)
            except BaseException:
                self.pace.ended()
                self._admit()
                raise
            else:
                self.pace.answered()
                self._admit()
                return found

    def _refused(self, ticket: Ticket, error: ProviderRateLimitedError) -> None:
        before, now = self.pace.limit, self._clock()
        self.pace.refused(ticket, error.retry_after, now)
        self._last_refusal = str(error)
        if self.pace.limit < before:
            log.warning("%s; %s", error, self._state())
        self._admit()

    async def _admitted(self, arrival: int, note: Note, draining: asyncio.Event | None) -> Ticket:
        now = self._clock()
        if not self._queue and self.pace.may_begin(now):
            return self.pace.begin()
        turn: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (arrival, turn))
        told = self.pace.pause(now) > 0
        if told:
            note(self._state())
        self._admit()
        try:
            await _either(turn, draining)
        except BaseException:
            self._forget(turn)
            raise
        if not turn.done():
            self._forget(turn)
            raise WorkerDrainingError(
                f"This worker is leaving while it waits for {self.provider}; any worker on this "
                "queue goes on."
            )
        if told:
            slow = self.pace.limit < self.pace.ceiling
            note(f"{self.provider}: {self._room()}" if slow else None)
        return turn.result()

    def _admit(self) -> None:
        """Let in, in the order they came, as many as there is room for; see to the others later."""
        now = self._clock()
        if self.pace.hopeless(now):
            self._send_away()
        while self._queue and self.pace.may_begin(now):
            _, turn = heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(self.pace.begin())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and (pause := self.pace.pause(now)):
            self._timer = asyncio.get_running_loop().call_later(pause, self._admit)

    def _send_away(self) -> None:
        pause = self.pace.pause(self._clock())
        for _, turn in self._queue:
            if not turn.done():
                turn.set_exception(
                    ProviderRateLimitedError(
                        self._last_refusal or f"{self.provider} asks for fewer requests (429)",
                        retry_after=pause or None,
                    )
                )
        self._queue.clear()

    def _forget(self, turn: asyncio.Future[Ticket]) -> None:
        """Whoever waited for this turn is gone; a place that it was given is free again."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self.pace.ended()
        self._queue = [item for item in self._queue if item[1] is not turn]
        heapq.heapify(self._queue)
        self._admit()

    def _state(self) -> str:
        seconds = max(1, round(self.pace.pause(self._clock())))
        return f"{self.provider}: 429, waiting {seconds} s, {self._room()}"

    def _room(self) -> str:
        return f"{self.pace.limit} of {self.pace.ceiling} calls at once"


async def _either(turn: asyncio.Future[Ticket], draining: asyncio.Event | None) -> None:
    """Wait for a turn, or until it is time to go."""
    if draining is None:
        await turn
        return
    leaving = asyncio.ensure_future(draining.wait())
    either: list[asyncio.Future[Any]] = [turn, leaving]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
