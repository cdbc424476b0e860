"""The governor: a 429 is waited out by all calls to the provider, in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import stope.llm.pace
from stope.engines import Engines
from stope.errors import (
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    WorkerDrainingError,
)
from stope.llm.governor import Governor
from stope.settings import Settings
from tests.builders import turn

HOURS = 9999.0


class Provider:
    """Answers calls when it is told to; ``replies`` are what the next ones get, None an answer."""

    def __init__(self, *replies: Exception | None) -> None:
        self.began: list[str] = []
        self.most = self._now = 0
        self._replies: Iterator[Exception | None] = iter(replies)

    async def __call__(self, name: str) -> str:
        self.began.append(name)
        self._now += 1
        self.most = max(self.most, self._now)
        await turn(3)
        self._now -= 1
        reply = next(self._replies, None)
        if reply is not None:
            raise reply
        return f"answer to {name}"


def slower(retry_after: float | None) -> ProviderRateLimitedError:
    return ProviderRateLimitedError("slower (429)", retry_after=retry_after)


async def call(
    governor: Governor, provider: Provider, name: str, draining: asyncio.Event | None = None
) -> str:
    return await governor.call(lambda: provider(name), draining=draining)


async def test_no_more_calls_are_in_flight_than_the_ceiling_and_all_are_answered_in_order() -> None:
    governor, provider = Governor("openai", 3), Provider()
    names = [f"c{number:02d}" for number in range(12)]
    answers = await asyncio.gather(*(call(governor, provider, name) for name in names))
    assert answers == [f"answer to {name}" for name in names]
    assert (provider.began, provider.most) == (names, 3)


async def test_a_refused_call_is_made_again_before_those_that_came_later() -> None:
    governor, provider = Governor("openai", 1), Provider(slower(0.01))
    answers = await asyncio.gather(*(call(governor, provider, name) for name in "abc"))
    assert answers == ["answer to a", "answer to b", "answer to c"]
    assert provider.began == ["a", "a", "b", "c"]


async def test_a_refusal_pauses_every_call_and_says_how_long_and_how_many() -> None:
    now, notes = 1000.0, list[str | None]()
    governor = Governor("openai", 8, clock=lambda: now)
    provider = Provider(slower(12.0))
    refused = asyncio.create_task(governor.call(lambda: provider("a"), note=notes.append))
    await turn(8)
    later = asyncio.create_task(governor.call(lambda: provider("b"), note=notes.append))
    await turn(8)
    assert provider.began == ["a"]
    assert notes == ["openai: 429, waiting 12 s, 4 of 8 calls at once"] * 2
    for task in (refused, later):
        task.cancel()
    await asyncio.gather(refused, later, return_exceptions=True)
    now += 13
    assert await call(governor, provider, "c") == "answer to c"
    assert governor.pace.in_flight == 0


async def test_the_note_goes_when_the_wait_is_over() -> None:
    notes: list[str | None] = []
    governor, provider = Governor("openai", 1), Provider(slower(0.01))
    await governor.call(lambda: provider("a"), note=notes.append)
    assert notes == ["openai: 429, waiting 1 s, 1 of 1 calls at once", None]


async def test_a_call_that_waits_can_be_cancelled_and_leaves_its_place() -> None:
    governor, provider = Governor("openai", 2), Provider(slower(HOURS / 100))
    tasks = [asyncio.create_task(call(governor, provider, name)) for name in "abcd"]
    await turn(12)
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(item, asyncio.CancelledError) for item in found) >= 3
    assert governor.pace.in_flight == 0


async def test_a_call_that_waits_leaves_when_the_worker_does() -> None:
    governor, provider, draining = Governor("openai", 1), Provider(slower(99.0)), asyncio.Event()
    waiting = asyncio.create_task(call(governor, provider, "a", draining))
    await turn(8)
    draining.set()
    with pytest.raises(WorkerDrainingError, match="waits for openai"):
        await waiting
    assert governor.pace.in_flight == 0


async def test_a_call_in_flight_ends_also_while_the_worker_leaves() -> None:
    governor, provider, draining = Governor("openai", 1), Provider(), asyncio.Event()
    flying = asyncio.create_task(call(governor, provider, "a", draining))
    await turn(2)
    draining.set()
    assert await flying == "answer to a"


@pytest.mark.parametrize(
    "error", [ProviderUnavailableError("down (503)"), ProviderRejectedError("no quota")]
)
async def test_other_errors_pass_through_and_slow_nothing_down(error: Exception) -> None:
    governor, provider = Governor("openai", 4), Provider(error)
    with pytest.raises(type(error)):
        await call(governor, provider, "a")
    assert (governor.pace.limit, governor.pace.in_flight) == (4, 0)
    assert await call(governor, provider, "b") == "answer to b"


async def test_a_wait_beyond_all_patience_goes_up_with_its_length_to_all_who_wait() -> None:
    governor, provider = Governor("openai", 1), Provider(slower(HOURS))
    tasks = [asyncio.create_task(call(governor, provider, name)) for name in "ab"]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    for error in found:
        assert isinstance(error, ProviderRateLimitedError)
        assert error.retry_after == pytest.approx(HOURS, abs=60)
    assert provider.began == ["a"]


async def test_refusals_for_too_long_go_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stope.llm.pace, "PATIENCE", 0.05)
    governor, provider = Governor("openai", 1), Provider(*[slower(0.02)] * 100)
    with pytest.raises(ProviderRateLimitedError, match="slower"):
        await call(governor, provider, "a")
    assert 1 < len(provider.began) < 100
    assert governor.pace.in_flight == 0


def test_all_models_and_stages_share_the_governor_of_their_provider() -> None:
    engines = Engines(Settings(openai_base_url=None, ollama_host="http://127.0.0.1:11434"))
    openai = engines.governor("openai:gpt-4o-mini")
    assert engines.governor("openai:gpt-4o", 4) is openai
    assert (openai.provider, openai.pace.ceiling) == ("openai", 8)
    assert engines.governor("openai:gpt-4o", 20).pace.ceiling == 20
    server = engines.governor("http://127.0.0.1:8000/v1#a")
    assert engines.governor("http://127.0.0.1:8000/v1#b") is server
    assert server.provider == "127.0.0.1:8000"
    others = {"http://127.0.0.1:8001/v1#a", "ollama:qwen2.5:7b-instruct"}
    assert {engines.governor(name) for name in others}.isdisjoint({openai, server})
