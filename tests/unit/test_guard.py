"""The budget holds: however many calls at once, whatever they turn out to take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from stope.errors import (
    BudgetReachedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    WorkerDrainingError,
)
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.dialect import REASONING_TOKENS
from stope.money.guard import Account, Accounts, Budget, SpendGuard, most_prompt_tokens
from stope.money.prices import NOTHING, FlatPrice, Price
from stope.records.spend import Paid
from tests.builders import turn

DOLLAR_A_TOKEN = FlatPrice(Decimal(1_000_000), Decimal(1_000_000))
ANSWER = 100
"""Tokens that an answer to ``REQUEST`` may have."""

REQUEST = ChatRequest(
    model="scripted:model",
    messages=(Message(role="user", content="grass " * 20),),
    schema_name="colour",
    answer_schema={"type": "object"},
    max_tokens=ANSWER,
)
PROMPT = most_prompt_tokens(REQUEST)
MOST = PROMPT + ANSWER


def answer(prompt: int | None, completion: int | None) -> ChatAnswer:
    return ChatAnswer(
        content="{}",
        finish_reason="stop",
        prompt_tokens=prompt,
        completion_tokens=completion,
        latency=0,
    )


class Desk:
    """Guards of one run, and a model whose answers come when they are let go."""

    def __init__(self, usd: float | None = None, tokens: int | None = None) -> None:
        self.budget = Budget.of(usd, tokens)
        self.account = Account()
        self.elsewhere = Paid()
        self.draining = asyncio.Event()
        self.most_at_once = self.asked = 0
        self.began = asyncio.Event()
        self.let_go = asyncio.Event()
        self._at_once = 0

    def guard(self, price: Price | None = DOLLAR_A_TOKEN, model: str = "x:model") -> SpendGuard:
        async def read() -> Paid:
            await asyncio.sleep(0)
            return self.elsewhere

        assert self.budget is not None
        return SpendGuard(
            self.account,
            self.budget,
            price,
            read,
            model=model,
            job="pipeline-1",
            draining=self.draining,
        )

    async def ask(self, guard: SpendGuard, takes: ChatAnswer | Exception) -> None:
        async with guard.call(REQUEST) as settle:
            self.asked += 1
            self.began.set()
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                await self.let_go.wait()
                if isinstance(takes, Exception):
                    raise takes
                settle(takes)
            finally:
                self._at_once -= 1

    @property
    def tokens(self) -> int:
        return self.account.spent.tokens


async def outcomes(
    desk: Desk, count: int, takes: Callable[[], ChatAnswer | Exception]
) -> list[object]:
    guards = [desk.guard(), desk.guard()]
    tasks = [asyncio.create_task(desk.ask(guards[n % 2], takes())) for n in range(count)]
    for _ in range(20):
        await asyncio.sleep(0)
    desk.let_go.set()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_calls_at_once_of_two_stages_never_pass_the_limit_together() -> None:
    desk = Desk(tokens=3 * MOST)
    found = await outcomes(desk, 20, lambda: answer(PROMPT, ANSWER))
    reached = [item for item in found if isinstance(item, BudgetReachedError)]
    assert (desk.asked, desk.most_at_once, len(reached)) == (3, 3, 17)
    assert desk.tokens == 3 * MOST
    assert desk.account.reserved.tokens == desk.account.in_flight == 0


async def test_calls_that_take_less_than_held_back_leave_room_for_those_that_wait() -> None:
    desk = Desk(tokens=2 * MOST)
    found = await outcomes(desk, 40, lambda: answer(10, 10))
    assert desk.most_at_once == 2
    # Every answer takes 20; what is left at the end is less than one call may take.
    assert 2 * MOST - MOST < desk.tokens <= 2 * MOST
    assert desk.tokens == 20 * sum(item is None for item in found)


async def test_money_is_held_to_the_last_digit() -> None:
    price = FlatPrice(Decimal("0.1"), Decimal("0.3"))
    most = price.cost(PROMPT, ANSWER)
    desk = Desk(usd=float(3 * most))
    desk.let_go.set()
    guard = desk.guard(price)
    for _ in range(3):
        await desk.ask(guard, answer(PROMPT, ANSWER))
    assert desk.account.spent.usd == 3 * most
    with pytest.raises(BudgetReachedError, match=r"resume pipeline-1 --max-usd N"):
        await desk.ask(guard, answer(PROMPT, ANSWER))


async def test_a_call_that_fails_or_is_cancelled_gives_back_what_was_held_for_it() -> None:
    desk = Desk(tokens=MOST)
    guard = desk.guard()
    held = asyncio.create_task(desk.ask(guard, answer(1, 1)))
    await desk.began.wait()
    held.cancel()
    assert isinstance(
        (await asyncio.gather(held, return_exceptions=True))[0], asyncio.CancelledError
    )
    desk.let_go.set()
    with pytest.raises(ProviderUnavailableError):
        await desk.ask(guard, ProviderUnavailableError("gone"))
    assert (desk.account.reserved.tokens, desk.tokens) == (0, 0)
    await desk.ask(guard, answer(1, 1))
    assert desk.tokens == 2


async def test_one_who_waits_for_room_can_be_cancelled_and_holds_nothing() -> None:
    desk = Desk(tokens=MOST)
    guard = desk.guard()
    first = asyncio.create_task(desk.ask(guard, answer(1, 1)))
    await desk.began.wait()
    waiting = asyncio.create_task(desk.ask(guard, answer(1, 1)))
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert desk.account.reserved.tokens == MOST
    desk.let_go.set()
    await first
    assert desk.account.reserved.tokens == 0


async def test_one_who_waits_for_room_leaves_with_the_worker_and_holds_nothing() -> None:
    desk = Desk(tokens=MOST)
    guard = desk.guard()
    first = asyncio.create_task(desk.ask(guard, answer(1, 1)))
    await desk.began.wait()
    waiting = asyncio.create_task(desk.ask(guard, answer(1, 1)))
    await turn(20)
    desk.draining.set()
    with pytest.raises(WorkerDrainingError):
        await waiting
    assert desk.account.reserved.tokens == MOST
    desk.let_go.set()
    await first


async def test_what_earlier_attempts_and_stages_paid_counts() -> None:
    desk = Desk(tokens=2 * MOST)
    desk.elsewhere = Paid(tokens=MOST + 1)
    with pytest.raises(BudgetReachedError, match=f"{MOST + 1:,} of {2 * MOST:,} tokens"):
        await desk.ask(desk.guard(), answer(1, 1))
    assert desk.asked == 0


async def test_a_limit_of_nothing_lets_free_calls_pass_and_no_other() -> None:
    desk = Desk(usd=0)
    desk.let_go.set()
    await desk.ask(desk.guard(NOTHING), answer(5, 5))
    with pytest.raises(BudgetReachedError):
        await desk.ask(desk.guard(), answer(5, 5))


async def test_a_server_that_does_not_count_tokens_is_asked_once_and_refused_then() -> None:
    desk = Desk(tokens=10 * MOST)
    desk.let_go.set()
    guard = desk.guard()
    await desk.ask(guard, answer(None, None))
    assert desk.tokens == MOST
    with pytest.raises(ProviderRejectedError, match="does not say how many tokens"):
        await desk.ask(guard, answer(1, 1))


@pytest.mark.parametrize(
    ("limits", "earlier"),
    [
        ({"tokens": 10 * MOST}, Paid(uncounted=1)),
        ({"usd": 10.0 * MOST}, Paid(uncounted=1, uncosted=1)),
    ],
)
async def test_a_server_that_did_not_count_tokens_before_a_restart_is_not_asked_again(
    limits: dict[str, float], earlier: Paid
) -> None:
    desk = Desk(**limits)  # type: ignore[arg-type]  # one of two limits, each of its own type
    desk.elsewhere = earlier
    with pytest.raises(ProviderRejectedError, match="does not say how many"):
        await desk.ask(desk.guard(), answer(1, 1))
    assert desk.asked == 0


async def test_a_free_model_that_does_not_count_tokens_takes_none_of_the_money() -> None:
    desk = Desk(usd=10 * MOST)
    desk.let_go.set()
    desk.elsewhere = Paid(uncounted=1)
    for _ in range(2):
        await desk.ask(desk.guard(NOTHING), answer(None, None))
    await desk.ask(desk.guard(), answer(1, 1))
    assert desk.account.spent.usd == 2


@pytest.mark.parametrize("model", ["openai:o3-mini", "openai:gpt-5-mini"])
async def test_what_a_model_thinks_is_held_back_as_well(model: str) -> None:
    desk = Desk(tokens=MOST + REASONING_TOKENS - 1)
    with pytest.raises(BudgetReachedError):
        await desk.ask(desk.guard(model=model), answer(1, 1))


async def test_a_model_that_answers_beyond_its_limit_is_taken_to_think_from_then_on() -> None:
    desk = Desk(tokens=2 * MOST + REASONING_TOKENS)
    desk.let_go.set()
    guard = desk.guard()
    await desk.ask(guard, answer(PROMPT, ANSWER + 1))
    with pytest.raises(BudgetReachedError):
        await desk.ask(guard, answer(1, 1))


async def test_one_run_has_one_account_while_anybody_works_on_it() -> None:
    accounts = Accounts()
    first = accounts.of("run-1")
    assert accounts.of("run-1") is first
    assert accounts.of("run-2") is not first


def test_prompts_of_figures_and_other_scripts_are_not_taken_for_short() -> None:
    def most(text: str) -> int:
        return most_prompt_tokens(
            REQUEST.model_copy(update={"messages": (Message(role="user", content=text),)})
        )

    assert most("漢字" * 50) - most("") >= 100
    assert most("1 2 3 4 5 6 7 8 9 " * 10) - most("") >= 90
