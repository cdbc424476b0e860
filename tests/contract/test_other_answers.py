"""Answers of other models to the same content, and commits that come too late, in the records."""

from __future__ import annotations

import pytest

from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import LedgerStore
from stope.llm.scripted import finished
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.units import UnitStore
from tests.memory import MemoryLedgerStore, MemoryUnitStore

with_memory = pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"], indirect=True)


@pytest.fixture
def ledger(engine: str, request: pytest.FixtureRequest) -> LedgerStore:
    if engine == "memory":
        return MemoryLedgerStore()
    return SqlLedgerStore(request.getfixturevalue("database"))


@pytest.fixture
def units(engine: str, request: pytest.FixtureRequest) -> UnitStore:
    if engine == "memory":
        return MemoryUnitStore()
    return SqlUnitStore(request.getfixturevalue("database"))


async def received(ledger: LedgerStore, model: str, content: str) -> str:
    """A model's answer to the one request of these tests; its id."""
    request = ChatRequest(
        model=model,
        messages=(Message(role="user", content="grass"),),
        schema_name="colour",
        answer_schema={"type": "object"},
        max_tokens=50,
    )
    entry = await ledger.receive(
        request.key(""), request, finished(content), "mine-1", request.content_key("")
    )
    assert request.content_key("") == CONTENT
    return entry.id


CONTENT = ChatRequest(
    model="any",
    messages=(Message(role="user", content="grass"),),
    schema_name="colour",
    answer_schema={"type": "object"},
    max_tokens=50,
).content_key("")


@with_memory
async def test_the_first_accepted_answer_of_another_model_is_found_and_no_other(
    ledger: LedgerStore,
) -> None:
    await received(ledger, "unjudged", "0")
    await ledger.reject(await received(ledger, "bad", "1"), "does not fit")
    assert await ledger.find_other(CONTENT, "mine") is None
    for model in ("mine", "first", "second"):
        assert await ledger.accept(await received(ledger, model, model))
    found = await ledger.find_other(CONTENT, "mine")
    assert found is not None
    assert (found.status, found.answer.content) == ("accepted", "first")
    assert await ledger.find_other("another content", "mine") is None


@with_memory
async def test_who_is_told_that_another_answer_was_accepted_first(ledger: LedgerStore) -> None:
    first, second = [await received(ledger, "mine", content) for content in "ab"]
    assert await ledger.accept(second)
    assert not await ledger.accept(first)


@with_memory
async def test_a_commit_says_whether_it_was_the_first(units: UnitStore) -> None:
    assert await units.commit("key", "mine", '{"text":"first"}', 1.0)
    assert not await units.commit("key", "mine", '{"text":"late"}', 1.0)
    assert await units.read_outputs(["key"]) == {"key": '{"text":"first"}'}
