"""Patience: an item that does not go is tried again while others go, and then it is a gap.

What an error says is not enough to tell an item that a place cannot take from a place that takes
nothing just now: both may answer 500. The other items tell. ``docs/uploads.md`` has the whole rule.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from stope.errors import (
    DestinationRateLimitedError,
    DestinationUnavailableError,
    ItemRefusedError,
    PutOffError,
    StopeError,
    UnitError,
    WorkerDrainingError,
)
from stope.models.upload import Item
from stope.upload.destination import GOES_ON

Answer = TypeVar("Answer")

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between two tries of an item; more where the place asks for more."""

LONGEST = 900.0
"""Seconds that are waited for one item in an attempt, all pauses together."""

_WITNESSES = 3
"""Items that are tried to see whether a place takes any."""


class ItemPatience(Generic[Answer]):
    """Asks a place about one item as often as makes sense.

    Args:
        ask: puts an item, or reads one back.
        items: everything that the place is asked about: witnesses that it works.
        draining: set when this worker is leaving.
        note: shows what is waited for.
    """

    def __init__(
        self,
        ask: Callable[[Item], Awaitable[Answer]],
        items: Sequence[Item],
        *,
        draining: asyncio.Event,
        note: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._items = sorted(items, key=lambda item: len(item.data))
        self._draining = draining
        self._note = note
        self._answers = 0
        self._begun: set[str] = set()
        self._good: set[str] = set()
        self._ahead: dict[str, Answer] = {}
        """What a place said to witnesses whose own turn is still to come."""
        self._looking = asyncio.Lock()
        self._ended = asyncio.Event()
        self._why: Exception | None = None

    async def of(self, item: Item) -> Answer:
        """What the place says about an item.

        Raises:
            ItemRefusedError: it refuses the item, or puts it off too often or for too long, or
                fails on this one while it takes others.
            DestinationUnavailableError: it takes nothing just now, or asks for fewer requests for
                longer than is waited here.
            WorkerDrainingError: this worker is leaving.
            StopeError: whatever else the place says; nobody waits for another item then.
        """
        waited = 0.0
        for tries, pause in enumerate((*PAUSES, 0.0), start=1):
            try:
                return await self._paced(item)
            except DestinationRateLimitedError:
                raise
            except DestinationUnavailableError as error:
                trouble, before = error, self._answers
            asked = max(pause, trouble.retry_after or 0.0)
            last = tries > len(PAUSES) or waited + asked > LONGEST
            wait = pause if last else asked
            await self._pause(wait, trouble)
            waited += wait
            if not isinstance(trouble, PutOffError):
                await self._look(item, before, trouble)
            if last:
                break
        raise _given_up(item, trouble, tries, waited) from trouble

    async def _paced(self, item: Item) -> Answer:
        """What the place says, however often it asks for fewer requests before.

        That is said of all items, so none is a witness, and it is held against none.

        Raises:
            DestinationRateLimitedError: it asks for that too often or for too long; the whole
                upload waits then.
        """
        waited, pauses = 0.0, iter(PAUSES)
        while True:
            try:
                return await self._turn(item)
            except DestinationRateLimitedError as limit:
                wait = max(next(pauses, math.inf), limit.retry_after or 0.0)
                if waited + wait > LONGEST:
                    self._end(limit)
                    raise
                await self._pause(wait, limit)
                waited += wait

    async def _turn(self, item: Item) -> Answer:
        if item.id in self._ahead:
            answer = self._ahead.pop(item.id)
        else:
            self._begun.add(item.id)
            answer = await self._once(item)
            # What it said to a witness meanwhile is as old.
            self._ahead.pop(item.id, None)
        self._good.add(item.id)
        return answer

    async def _once(self, item: Item) -> Answer:
        try:
            answer = await self._ask(item)
        except (UnitError, DestinationUnavailableError):
            raise
        except Exception as error:
            self._end(error)
            raise
        self._answers += 1
        return answer

    async def _look(self, item: Item, before: int, trouble: DestinationUnavailableError) -> None:
        """Return if the place takes others: some since it had given ``before`` answers, or now.

        Raises:
            DestinationUnavailableError: it does not.
        """
        async with self._looking:
            self._go_on()
            if self._answers > before:
                return
            for other in self._witnesses(item):
                try:
                    answer = await self._once(other)
                except (UnitError, DestinationUnavailableError):
                    continue
                if other.id not in self._good:
                    self._ahead[other.id] = answer
                return
            self._end(trouble)
            raise trouble

    def _witnesses(self, item: Item) -> list[Item]:
        """Some others, each the smallest of its kind.

        One that is still to come, so that nothing is sent twice, and one that went; then those that
        may be in trouble as this one is.
        """
        others = [other for other in self._items if other.id != item.id]
        went = self._good | self._ahead.keys()
        coming = [other for other in others if other.id not in self._begun | went]
        good = [other for other in others if other.id in went]
        rest = [other for other in others if other.id in self._begun - went]
        return [*coming[:1], *good[:1], *rest, *coming[1:]][:_WITNESSES]

    async def _pause(self, seconds: float, trouble: StopeError) -> None:
        if seconds:
            self._note(f"{_reason(trouble)}; tried again in {seconds:.0f} s")
            ends = [asyncio.ensure_future(end.wait()) for end in (self._draining, self._ended)]
            try:
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
        self._go_on()

    def _end(self, error: Exception) -> None:
        """Nothing more will go: whoever waits for an item need not."""
        self._why = self._why or error
        self._ended.set()

    def _go_on(self) -> None:
        if self._draining.is_set():
            raise WorkerDrainingError(
                "This worker is leaving while it waits for the destination; any worker on this "
                "queue goes on."
            )
        if self._why is not None:
            raise self._why


def _given_up(
    item: Item, trouble: DestinationUnavailableError, tries: int, waited: float
) -> ItemRefusedError:
    what = "was put off" if isinstance(trouble, PutOffError) else "fails while others do not"
    often = f"{tries} times in {waited:.0f} s" if tries > 1 else "once"
    asked = trouble.retry_after or 0.0
    if waited + asked > LONGEST:
        often += f", now for {asked:.0f} s, which is longer than an upload waits for one item"
    return ItemRefusedError(
        f"{item.id} {what} ({often}): {_reason(trouble)}; `stope retry JOB --gaps` tries it again."
    )


def _reason(trouble: StopeError) -> str:
    return str(trouble).removesuffix(".").removesuffix(f"; {GOES_ON}")
