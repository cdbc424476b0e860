"""The ledger among others: one pays, the others wait; another model's answer serves if allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from stope.errors import (
    AnswerInvalidError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    WorkerDrainingError,
)
from stope.leases import Leases
from stope.llm.chat import ChatAnswer, ChatModel, ChatRequest, Message
from stope.llm.governor import Governor
from stope.llm.ledger import LOOK_SECONDS, CallGuard, Ledger
from stope.llm.schema import answer_schema
from stope.llm.scripted import Reply, ScriptedChatModel, finished
from stope.llm.sharing import Sharing
from stope.models.frozen import Frozen
from tests.builders import turn
from tests.memory import RUN_BEGAN, MemoryLeaseStore, MemoryLedgerStore


class Colour(Frozen):
    """The answer that is asked for; the shade may be left out."""

    name: str
    shade: str | None = None


GREEN, BLUE = '{"name":"green"}', '{"name":"blue"}'


class HeldModel(ScriptedChatModel):
    """Answers when it is let go."""

    def __init__(self, *script: Reply) -> None:
        super().__init__(script)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.asked.set()
        await self.go.wait()
        return await super().complete(request)


class World:
    """Ledgers of several runs on the same stores."""

    def __init__(self) -> None:
        self.leases = MemoryLeaseStore()
        self.answers = MemoryLedgerStore()
        self.draining = asyncio.Event()
        self.notes: list[str | None] = []
        self._runs = 0

    def ledger(
        self,
        model: ChatModel,
        run: str | None = None,
        attempt: int = 1,
        *,
        any_model: bool = False,
        governor: Governor | None = None,
        guard: CallGuard | None = None,
    ) -> Ledger:
        """For a run of its own, unless one is named."""
        self._runs += 1
        began = RUN_BEGAN + timedelta(seconds=attempt)
        return Ledger(
            self.answers,
            model,
            namespace="",
            job_id="mine-1",
            since=RUN_BEGAN,
            guard=guard,
            sharing=Sharing(
                leases=Leases(self.leases, run or f"a run {self._runs}", began),
                governor=governor,
                note=self.notes.append,
                draining=self.draining,
            ),
            any_model=any_model,
        )


def request_for(model: ChatModel) -> ChatRequest:
    return ChatRequest(
        model=model.identity,
        messages=(Message(role="user", content="grass"),),
        schema_name="colour",
        answer_schema=answer_schema(Colour, complete=model.complete_answers),
        max_tokens=50,
    )


async def ask(ledger: Ledger) -> str:
    return (await ledger.ask(request_for(ledger.model), Colour)).name


async def test_of_two_runs_that_ask_the_same_one_pays_and_the_other_is_served() -> None:
    world, paying, other = World(), HeldModel(GREEN), ScriptedChatModel([])
    first, second = world.ledger(paying), world.ledger(other)
    one = asyncio.create_task(ask(first))
    await paying.asked.wait()
    two = asyncio.create_task(ask(second))
    while not world.notes:
        await turn()
    paying.go.set()
    assert (await one, await two) == ("green", "green")
    assert (first.spend.calls, second.spend.calls, second.spend.reused) == (1, 0, 1)
    assert world.notes == ["another run is asking the same; waiting for its answer", None]


async def test_two_units_of_one_run_that_ask_the_same_pay_once() -> None:
    world, model = World(), HeldModel(GREEN)
    ledger = world.ledger(model)
    asking = [asyncio.create_task(ask(ledger)) for _ in range(3)]
    await model.asked.wait()
    await turn(10)
    model.go.set()
    assert await asyncio.gather(*asking) == ["green"] * 3
    assert ledger.spend.calls == 1


async def test_when_the_first_fails_the_second_asks() -> None:
    world, failing = World(), HeldModel(ProviderUnavailableError("down"))
    one = asyncio.create_task(ask(world.ledger(failing)))
    await failing.asked.wait()
    two = asyncio.create_task(ask(world.ledger(ScriptedChatModel([BLUE]))))
    await turn(10)
    failing.go.set()
    with pytest.raises(ProviderUnavailableError):
        await one
    assert await two == "blue"


async def test_what_a_dead_run_was_asking_is_asked_again_when_its_lease_runs_out() -> None:
    world, model = World(), ScriptedChatModel([GREEN])
    dead = Leases(world.leases, "dead", RUN_BEGAN)
    await dead.take([request_for(model).key("")])
    asking = asyncio.create_task(ask(world.ledger(model)))
    await turn(20)
    assert model.requests == []
    world.leases.now += 31
    assert await asking == "green"


async def test_a_new_attempt_asks_at_once_and_the_late_one_is_served_its_answer() -> None:
    world, late, new = World(), HeldModel(BLUE), ScriptedChatModel([GREEN])
    old = asyncio.create_task(ask(world.ledger(late, "run-1")))
    await late.asked.wait()
    assert await ask(world.ledger(new, "run-1", attempt=2)) == "green"
    late.go.set()
    # It was paid for, so it is kept; it is not what anybody is served.
    assert await old == "green"
    assert world.answers.statuses == ["accepted", "rejected"]


async def test_a_late_attempt_does_not_ask_once_a_new_one_has_begun() -> None:
    world, late = World(), ScriptedChatModel([BLUE])
    old = world.ledger(late, "run-1")
    await Leases(world.leases, "run-1", RUN_BEGAN + timedelta(seconds=2)).take(["anything"])
    with pytest.raises(WorkerDrainingError):
        await ask(old)
    assert late.requests == []


async def test_an_unjudged_answer_of_a_live_run_is_left_to_it() -> None:
    world, model = World(), ScriptedChatModel([])
    key = request_for(model).key("")
    holder = Leases(world.leases, "run-2", RUN_BEGAN)
    await holder.take([key])
    entry = await world.answers.receive(key, request_for(model), finished(GREEN), "mine-2")
    asking = asyncio.create_task(ask(world.ledger(model)))
    await turn(20)
    assert world.answers.statuses == ["received"]
    await world.answers.accept(entry.id)
    assert await asking == "green"


async def test_who_waits_for_an_answer_leaves_when_the_worker_does() -> None:
    world, model = World(), ScriptedChatModel([])
    await Leases(world.leases, "other", RUN_BEGAN).take([request_for(model).key("")])
    asking = asyncio.create_task(ask(world.ledger(model)))
    await turn(20)
    world.draining.set()
    with pytest.raises(WorkerDrainingError):
        await asking


async def test_a_refused_call_is_waited_out_and_the_slowest_pace_is_noted() -> None:
    world, governor = World(), Governor("openai", 8)
    model = ScriptedChatModel([ProviderRateLimitedError("slower", retry_after=0.01), GREEN])
    ledger = world.ledger(model, governor=governor)
    assert await ask(ledger) == "green"
    assert ledger.metrics()["llm_concurrency_lowest"] == 4
    assert world.answers.statuses == ["accepted"]


class Refusing(ScriptedChatModel):
    """Is asked for a slower pace once; meanwhile something happens."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__([BLUE])
        self._meanwhile = meanwhile
        self._refused = False

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        if self._refused:
            return await super().complete(request)
        self._refused = True
        await self._meanwhile()
        raise ProviderRateLimitedError("slower", retry_after=LOOK_SECONDS + 0.05)


async def test_an_answer_that_a_late_attempt_brings_while_a_call_waits_is_not_paid_for_again() -> (
    None
):
    world, late = World(), HeldModel(GREEN)
    old = asyncio.create_task(ask(world.ledger(late, "run-1")))
    await late.asked.wait()

    async def brought() -> None:
        late.go.set()
        await old

    model = Refusing(brought)
    new = world.ledger(model, "run-1", attempt=2, governor=Governor("openai", 8))
    assert await ask(new) == "green"
    assert (model.requests, new.spend.calls, new.spend.reused) == ([], 0, 1)


async def test_who_lost_its_lease_while_a_call_waited_leaves_it_to_the_new_holder() -> None:
    world, paying = World(), HeldModel(GREEN)
    tasks: list[asyncio.Task[str]] = []

    async def taken_over() -> None:
        world.leases.now += 31
        tasks.append(asyncio.create_task(ask(world.ledger(paying, "run-2"))))
        await paying.asked.wait()
        paying.go.set()

    model = Refusing(taken_over)
    assert await ask(world.ledger(model, "run-1", governor=Governor("openai", 8))) == "green"
    assert (model.requests, await tasks[0]) == ([], "green")


async def test_another_models_answer_serves_only_who_takes_any_and_is_marked() -> None:
    world = World()
    small = ScriptedChatModel([GREEN], identity="scripted:small")
    await ask(world.ledger(small))
    strict = ScriptedChatModel([BLUE], identity="scripted:large", complete_answers=True)
    taking = world.ledger(strict, any_model=True)
    assert await ask(taking) == "green"
    assert strict.requests == []
    assert world.answers.served == [("answer-1", "other")]
    assert taking.metrics()["llm_answers_from_other_models"] == 1
    exact = world.ledger(strict)
    assert await ask(exact) == "blue"
    assert "llm_answers_from_other_models" not in exact.metrics()


async def test_a_models_own_answer_comes_before_anothers() -> None:
    world = World()
    await ask(world.ledger(ScriptedChatModel([GREEN], identity="scripted:small")))
    own = ScriptedChatModel([BLUE])
    await ask(world.ledger(own))
    assert await ask(world.ledger(own, any_model=True)) == "blue"


async def test_a_bad_answer_of_another_model_is_never_served() -> None:
    world = World()
    bad = ScriptedChatModel(["{}", "{}"], identity="scripted:small")
    with pytest.raises(AnswerInvalidError):
        await ask(world.ledger(bad))
    ledger = world.ledger(ScriptedChatModel([BLUE]), any_model=True)
    assert await ask(ledger) == "blue"
    assert ledger.spend.from_others == 0


def test_the_content_of_a_request_is_all_of_it_but_the_model() -> None:
    loose, strict = ScriptedChatModel([]), ScriptedChatModel([], complete_answers=True)
    request = request_for(loose)
    other = request_for(strict).model_copy(update={"model": "scripted:other"})
    assert request.content_key("") == other.content_key("")
    assert request.content_key("") != request.content_key("forced")
    changes: tuple[dict[str, object], ...] = (
        {"messages": (Message(role="user", content="leaves"),)},
        {"answer_schema": {}},
        {"max_tokens": 51},
        {"temperature": 0.5},
        {"schema_name": "color"},
    )
    for change in changes:
        assert request.model_copy(update=change).content_key("") != request.content_key("")


async def test_a_call_that_is_cut_off_is_waited_for_and_its_answer_is_kept() -> None:
    world, model = World(), HeldModel(GREEN)
    asking = asyncio.create_task(ask(world.ledger(model)))
    await model.asked.wait()
    for _ in range(3):
        asking.cancel()
        await turn(5)
        assert not asking.done()
    model.go.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.answers.statuses == ["received"]
    assert await ask(world.ledger(ScriptedChatModel([]))) == "green"


async def test_who_waits_for_room_in_the_budget_keeps_nobody_else_from_the_provider() -> None:
    world, governor = World(), Governor("openai", 1)

    class Full:
        """A budget without room, until there is."""

        def __init__(self) -> None:
            self.asked, self.room = asyncio.Event(), asyncio.Event()

        @asynccontextmanager
        async def call(self, _request: ChatRequest) -> AsyncIterator[Callable[[ChatAnswer], None]]:
            self.asked.set()
            await self.room.wait()
            yield lambda _answer: None

    full = Full()
    waits = world.ledger(ScriptedChatModel([GREEN]), governor=governor, guard=full)
    waiting = asyncio.create_task(ask(waits))
    await full.asked.wait()
    other = ScriptedChatModel([BLUE], identity="scripted:other")
    assert await ask(world.ledger(other, governor=governor)) == "blue"
    full.room.set()
    assert await waiting == "green"
