"""The ledger: an answer is committed before it is looked at, and never paid for twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stope.errors import (
    AnswerInvalidError,
    AnswerTruncatedError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    StopeError,
)
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.scripted import ScriptedChatModel, cut_off, finished
from stope.models.frozen import Frozen
from tests.builders import ledger_of
from tests.memory import RUN_BEGAN, MemoryLedgerStore


class Colour(Frozen):
    """The answer that is asked for."""

    name: str


GOOD = Colour(name="green").model_dump_json()
BAD = '{"colour": "green"}'
MISFIT = "name: Field required; colour: Extra inputs are not permitted"
NEXT_RUN = RUN_BEGAN + timedelta(hours=1)


def request_for(text: str = "grass") -> ChatRequest:
    return ChatRequest(
        model="scripted:model",
        messages=(Message(role="user", content=text),),
        schema_name="colour",
        answer_schema=Colour.model_json_schema(),
        max_tokens=50,
    )


async def received(store: MemoryLedgerStore, answer: ChatAnswer) -> None:
    """Leave an answer unjudged, as a process does that is killed between receiving and parsing."""
    await store.receive(request_for().key(""), request_for(), answer, "mine-1")


async def test_an_answer_is_committed_before_it_is_parsed() -> None:
    store = MemoryLedgerStore()

    class Watched(Colour):
        """Notes when it is parsed."""

        def model_post_init(self, _context: object) -> None:
            store.events.append("parsed")

    await ledger_of(ScriptedChatModel([GOOD]), store).ask(request_for(), Watched)
    assert store.events == ["received answer-1", "parsed", "accepted answer-1"]


async def test_an_accepted_answer_is_served_without_a_call_also_in_later_runs() -> None:
    store = MemoryLedgerStore()
    first = ledger_of(ScriptedChatModel([GOOD]), store)
    assert await first.ask(request_for(), Colour) == Colour(name="green")
    later = ledger_of(ScriptedChatModel([]), store, since=NEXT_RUN)
    assert await later.ask(request_for(), Colour) == Colour(name="green")
    assert (first.spend.calls, first.spend.reused) == (1, 0)
    assert (later.spend.calls, later.spend.reused) == (0, 1)


async def test_an_answer_received_but_not_judged_is_judged_without_a_call() -> None:
    store = MemoryLedgerStore()
    await received(store, finished(GOOD))
    ledger = ledger_of(ScriptedChatModel([]), store, since=NEXT_RUN)
    assert await ledger.ask(request_for(), Colour) == Colour(name="green")
    assert store.statuses == ["accepted"]


async def test_an_unjudged_answer_that_does_not_fit_is_repaired_not_asked_again() -> None:
    store, model = MemoryLedgerStore(), ScriptedChatModel([GOOD])
    await received(store, finished(BAD))
    await ledger_of(model, store).ask(request_for(), Colour)
    assert [len(request.messages) for request in model.requests] == [3]
    assert store.statuses == ["rejected", "accepted"]


async def test_a_bad_answer_is_shown_to_the_model_once_and_the_repair_is_accepted() -> None:
    store, model = MemoryLedgerStore(), ScriptedChatModel([BAD, GOOD])
    assert await ledger_of(model, store).ask(request_for(), Colour) == Colour(name="green")
    asked, bad, complaint = model.requests[1].messages
    assert asked == request_for().messages[0]
    assert bad == Message(role="assistant", content=BAD)
    assert complaint.role == "user"
    assert MISFIT in complaint.content
    assert store.statuses == ["rejected", "accepted"]


async def test_a_repaired_request_costs_nothing_when_it_is_asked_again_in_the_same_run() -> None:
    store = MemoryLedgerStore()
    await ledger_of(ScriptedChatModel([BAD, GOOD]), store).ask(request_for(), Colour)
    ledger = ledger_of(ScriptedChatModel([]), store)
    assert await ledger.ask(request_for(), Colour) == Colour(name="green")


async def test_two_bad_answers_are_both_rejected_and_the_request_is_given_up() -> None:
    store, model = MemoryLedgerStore(), ScriptedChatModel([BAD, "not JSON"])
    with pytest.raises(AnswerInvalidError, match="Invalid JSON"):
        await ledger_of(model, store).ask(request_for(), Colour)
    assert store.statuses == ["rejected", "rejected"]
    with pytest.raises(AnswerInvalidError, match="Invalid JSON"):
        await ledger_of(ScriptedChatModel([]), store).ask(request_for(), Colour)


async def test_the_reason_for_a_rejection_does_not_repeat_the_answer() -> None:
    store = MemoryLedgerStore()
    private = '{"name": ["what the speaker said"]}'
    with pytest.raises(AnswerInvalidError) as caught:
        await ledger_of(ScriptedChatModel([private, private]), store).ask(request_for(), Colour)
    assert "name" in str(caught.value)
    assert "speaker" not in str(caught.value)


async def test_a_truncated_answer_is_rejected_even_if_what_came_would_fit() -> None:
    store, model = MemoryLedgerStore(), ScriptedChatModel([cut_off(GOOD)])
    with pytest.raises(AnswerTruncatedError):
        await ledger_of(model, store).ask(request_for(), Colour)
    assert store.statuses == ["rejected"]


async def test_a_truncated_request_is_asked_again_only_by_a_later_run() -> None:
    store = MemoryLedgerStore()
    for model in (ScriptedChatModel([cut_off("{")]), ScriptedChatModel([])):
        with pytest.raises(AnswerTruncatedError):
            await ledger_of(model, store).ask(request_for(), Colour)
    store.now = NEXT_RUN
    ledger = ledger_of(ScriptedChatModel([GOOD]), store, since=NEXT_RUN)
    assert await ledger.ask(request_for(), Colour) == Colour(name="green")
    assert store.statuses == ["rejected", "accepted"]


async def test_an_answer_that_ended_in_any_other_way_is_invalid() -> None:
    answer = finished(GOOD).model_copy(update={"finish_reason": "content_filter"})
    store = MemoryLedgerStore()
    with pytest.raises(AnswerInvalidError, match="content_filter"):
        await ledger_of(ScriptedChatModel([answer, answer]), store).ask(request_for(), Colour)
    assert store.statuses == ["rejected", "rejected"]


async def test_namespaces_are_apart() -> None:
    store = MemoryLedgerStore()
    await ledger_of(ScriptedChatModel([GOOD]), store).ask(request_for(), Colour)
    fresh = ledger_of(ScriptedChatModel(['{"name":"blue"}']), store, namespace="forced")
    assert await fresh.ask(request_for(), Colour) == Colour(name="blue")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "scripted:other"},
        {"messages": (Message(role="system", content="grass"),)},
        {"schema_name": "color"},
        {"answer_schema": {}},
        {"max_tokens": 51},
        {"temperature": 0.1},
    ],
)
def test_whatever_decides_an_answer_is_part_of_its_key(change: dict[str, object]) -> None:
    changed = request_for().model_copy(update=change)
    assert changed.key("") != request_for().key("")
    assert request_for().key("") == request_for().key("")


@pytest.mark.parametrize(
    "error", [ProviderRejectedError("no key"), ProviderRateLimitedError("slower", retry_after=7)]
)
async def test_an_error_of_the_provider_passes_through_and_leaves_no_answer(
    error: StopeError,
) -> None:
    store = MemoryLedgerStore()
    ledger = ledger_of(ScriptedChatModel([error, GOOD]), store)
    with pytest.raises(type(error)) as caught:
        await ledger.ask(request_for(), Colour)
    assert caught.value is error
    assert store.events == []
    assert await ledger.ask(request_for(), Colour) == Colour(name="green")


async def test_the_spend_is_what_the_calls_came_to() -> None:
    answer = ChatAnswer(
        content=GOOD, finish_reason="stop", prompt_tokens=30, completion_tokens=5, latency=0.25
    )
    ledger = ledger_of(ScriptedChatModel([answer, finished(GOOD)]))
    for text in ("grass", "leaves", "grass"):
        await ledger.ask(request_for(text), Colour)
    assert ledger.metrics() == {
        "llm_calls": 2,
        "llm_answers_reused": 1,
        "prompt_tokens": 30,
        "completion_tokens": 5,
        "llm_seconds": 0.25,
        "cost_usd": 0.0,
        "cost_saved_usd": 0.0,
        "llm_calls_unpriced": 2,
    }
