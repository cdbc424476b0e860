"""Batches: what comes in together goes together, in order, and each gets an answer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stope.errors import (
    DestinationRateLimitedError,
    DestinationUnavailableError,
    ItemRefusedError,
    PutOffError,
    StopeError,
)
from stope.upload.batching import Batcher
from tests.waiting import until


class Desk:
    """Answers with what it was asked, in capitals; ``gate`` holds the answers back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.trouble: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0

    async def __call__(self, batch: Sequence[str]) -> list[str | StopeError]:
        self.batches.append(list(batch))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if self.trouble:
                raise self.trouble.pop()
            return [ItemRefusedError("No.") if one == "bad" else one.upper() for one in batch]
        finally:
            self.at_once -= 1

    def batcher(self, most: int = 3, most_bytes: int = 100, flights: int = 2) -> Batcher[str, str]:
        return Batcher(
            self,
            name=lambda one: one.partition("=")[0],
            size=len,
            most=most,
            most_bytes=most_bytes,
            flights=flights,
        )


async def test_each_gets_its_own_answer_and_batches_are_no_larger_than_they_may_be() -> None:
    desk = Desk()
    batcher = desk.batcher()
    asked = [f"item-{number}" for number in range(8)]
    assert await asyncio.gather(*map(batcher.ask, asked)) == [one.upper() for one in asked]
    assert [one for batch in desk.batches for one in batch] == asked
    assert [len(batch) for batch in desk.batches] == [3, 3, 2]
    assert desk.most_at_once <= 2


async def test_something_large_goes_alone() -> None:
    desk = Desk()
    batcher = desk.batcher(most_bytes=10)
    await asyncio.gather(*map(batcher.ask, ["aaaa", "bbbb", "c" * 50, "dddd"]))
    assert [len(batch) for batch in desk.batches] == [2, 1, 1]


async def test_two_about_the_same_never_share_a_batch_nor_overtake_each_other() -> None:
    desk = Desk()
    batcher = desk.batcher()
    asked = ["a=1", "b=1", "a=2", "a=3"]
    assert await asyncio.gather(*map(batcher.ask, asked)) == ["A=1", "B=1", "A=2", "A=3"]
    assert desk.batches == [["a=1", "b=1"], ["a=2"], ["a=3"]]


async def test_a_refusal_is_for_one_and_trouble_for_the_whole_batch() -> None:
    desk = Desk()
    batcher = desk.batcher(most=2)
    outcomes = await asyncio.gather(*map(batcher.ask, ["good", "bad"]), return_exceptions=True)
    assert outcomes[0] == "GOOD"
    assert isinstance(outcomes[1], ItemRefusedError)
    desk.trouble = [DestinationUnavailableError("It is away.")]
    outcomes = await asyncio.gather(*map(batcher.ask, ["a", "b", "c"]), return_exceptions=True)
    assert sum(isinstance(outcome, DestinationUnavailableError) for outcome in outcomes) in (1, 2)
    assert await batcher.ask("again") == "AGAIN"


async def test_who_does_not_wait_any_more_is_not_sent() -> None:
    desk = Desk()
    batcher = desk.batcher()
    gone, stays = (
        asyncio.create_task(batcher.ask("gone")),
        asyncio.create_task(batcher.ask("stays")),
    )
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "STAYS"
    assert desk.batches == [["stays"]]


async def test_closing_lets_nobody_wait_forever() -> None:
    desk = Desk()
    desk.gate.clear()
    batcher = desk.batcher(most=1, flights=1)
    waiting = [asyncio.create_task(batcher.ask(one)) for one in ("first", "second")]

    async def begun() -> bool:
        return bool(desk.batches)

    await until(begun, "the first batch")
    await batcher.close()
    for task in waiting:
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("trouble", "sizes"),
    [
        (DestinationUnavailableError("Away."), [3, 1, 1, 1, 2]),
        # It is all of them that come too early, and they would be three requests for one.
        (DestinationRateLimitedError("Fewer."), [3, 3, 2]),
        (PutOffError("Later."), [3, 3, 2]),
        (ItemRefusedError("No."), [3, 3, 2]),
    ],
)
async def test_what_failed_with_others_on_what_may_pass_goes_alone_the_next_time(
    trouble: StopeError, sizes: list[int]
) -> None:
    desk = Desk()
    desk.trouble = [trouble]
    batcher = desk.batcher(flights=1)
    outcomes = await asyncio.gather(*map(batcher.ask, "abc"), return_exceptions=True)
    assert outcomes == [trouble] * 3
    assert await asyncio.gather(*map(batcher.ask, "abcde")) == [*"ABCDE"]
    assert [len(batch) for batch in desk.batches] == sizes
