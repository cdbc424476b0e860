"""Batches: what is asked for at the same time goes together, and each gets an answer of its own.

Where a whole batch failed on something that may pass, one in it can be what does it. So each goes
alone the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from stope.errors import (
    DestinationRateLimitedError,
    DestinationUnavailableError,
    PutOffError,
    StopeError,
)

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

LINGER = 0.01
"""Seconds that a batch waits for others to come along."""


class Batcher(Generic[Ask, Answer]):
    """Sends what comes in as batches.

    Args:
        send: sends a batch and gives an answer, or an error, to each in its order. What it raises
            is the answer to all of them.
        name: what something is asked about; two about the same never share a batch, and go in the
            order they came.
        size: how large something is, in bytes.
        most: in a batch.
        most_bytes: in a batch; something larger goes alone.
        flights: batches on their way at once.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | StopeError]]],
        *,
        name: Callable[[Ask], str],
        size: Callable[[Ask], int] = lambda _: 0,
        most: int,
        most_bytes: int = 1,
        flights: int,
    ) -> None:
        self._send = send
        self._name = name
        self._size = size
        self._most = most
        self._most_bytes = most_bytes
        self._most_flights = flights
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._in_flight: set[str] = set()
        self._alone: set[str] = set()
        self._flights: set[asyncio.Task[bool]] = set()

    async def ask(self, one: Ask) -> Answer:
        """The answer to one, which went in a batch with others."""
        turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, turn))
        self._launch()
        return await turn

    async def close(self) -> None:
        """End what is on its way; whoever waits for it is cancelled."""
        flights = [*self._flights]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for _, turn in self._waiting:
            turn.cancel()

    def _launch(self) -> None:
        if self._waiting and len(self._flights) < self._most_flights:
            flight = asyncio.create_task(self._fly())
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[bool]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and flight.result():
            self._launch()

    async def _fly(self) -> bool:
        """Send the next batch; says whether there was one."""
        await asyncio.sleep(LINGER)
        batch = self._take()
        if not batch:
            # All that waits is about what is on its way already, and goes when that has landed.
            return False
        names = {self._name(one) for one, _ in batch}
        self._in_flight |= names
        try:
            answers = await self._send([one for one, _ in batch])
            for (_, turn), answer in zip(batch, answers, strict=True):
                _settle(turn, answer)
        except asyncio.CancelledError:
            for _, turn in batch:
                turn.cancel()
            raise
        except Exception as error:  # noqa: BLE001  (raised where each of them is waited for)
            if _may_be_of_one(error):
                self._alone |= names
            for _, turn in batch:
                _settle(turn, error)
        finally:
            self._in_flight -= names
        return True

    def _take(self) -> list[tuple[Ask, asyncio.Future[Answer]]]:
        """The next batch, in the order of arrival."""
        batch: list[tuple[Ask, asyncio.Future[Answer]]] = []
        left: list[tuple[Ask, asyncio.Future[Answer]]] = []
        names, size = set(self._in_flight), 0
        for one, turn in self._waiting:
            if turn.done():
                # Whoever asked is gone.
                continue
            name, more = self._name(one), self._size(one)
            full = batch and (
                len(batch) == self._most
                or size + more > self._most_bytes
                or not self._alone.isdisjoint((name, self._name(batch[0][0])))
            )
            if full or name in names:
                left.append((one, turn))
            else:
                batch.append((one, turn))
                size += more
            names.add(name)
        self._waiting = left
        return batch


def _may_be_of_one(error: Exception) -> bool:
    """Whether something in a batch can be why it failed. To come later is about all of them."""
    return isinstance(error, DestinationUnavailableError) and not isinstance(
        error, (DestinationRateLimitedError, PutOffError)
    )


def _settle(turn: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if turn.done():
        return
    if isinstance(answer, Exception):
        turn.set_exception(answer)
    else:
        turn.set_result(answer)
