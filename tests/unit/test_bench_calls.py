"""The bare script repeats the calls of the ledger and waits only where the pipeline had to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bench.bare import at_most
from benchmarks.bench.bench import Bench
from benchmarks.bench.calls import Call, calls_since, waves
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.records.database import Database
from stope.records.ledger import SqlLedgerStore
from stope.settings import Settings
from tests.builders import turn


def request(text: str) -> ChatRequest:
    return ChatRequest(
        model="scripted:model",
        messages=(Message(role="user", content=text),),
        schema_name="answer",
        answer_schema={"type": "object"},
        max_tokens=10,
    )


def call(name: str, began: float, ended: float) -> Call:
    return Call(request=request(name), began=began, ended=ended)


def names(groups: list[list[Call]]) -> list[list[str]]:
    return [[item.request.messages[0].content for item in group] for group in groups]


def test_calls_that_overlap_belong_together() -> None:
    # Two slots: "c" began when "a" had ended, while "b" was in flight.
    found = waves([call("a", 0, 2), call("b", 0.1, 3), call("c", 2.1, 4)])
    assert names(found) == [["a", "b", "c"]]


def test_what_began_after_all_had_ended_had_to_wait() -> None:
    found = waves([call("a", 0, 2), call("b", 0, 5), call("c", 5.1, 6), call("d", 6.2, 7)])
    assert names(found) == [["a", "b"], ["c"], ["d"]]


def test_a_long_call_holds_its_group_together() -> None:
    found = waves([call("a", 0, 9), call("b", 0, 1), call("c", 2, 3), call("d", 8, 10)])
    assert names(found) == [["a", "b", "c", "d"]]


def test_no_calls_no_groups() -> None:
    assert waves([]) == []


async def test_calls_are_read_from_the_ledger_in_the_order_they_began(tmp_path: Path) -> None:
    settings = Bench(Settings(), tmp_path).settings(tmp_path / "home")
    database = Database(settings.records_url)
    await database.migrate()
    ledger = SqlLedgerStore(database)
    began = datetime.now(UTC)
    for name, latency in (("short", 0.5), ("long", 60.0)):
        answer = ChatAnswer(
            content="{}", finish_reason="stop", latency=latency, completion_tokens=7
        )
        await ledger.receive(name, request(name), answer, "mine-1")
    await database.close()

    found = await calls_since(settings, began)
    assert names([found]) == [["long", "short"]]
    assert [item.completion_tokens for item in found] == [7, 7]
    assert await calls_since(settings, datetime.now(UTC) + timedelta(seconds=1)) == []


async def test_the_script_keeps_all_slots_busy_and_no_more_in_the_calls_order() -> None:
    began: list[int] = []
    in_flight = most = 0
    held = asyncio.Event()

    async def do(item: int) -> int:
        nonlocal in_flight, most
        began.append(item)
        in_flight += 1
        most = max(most, in_flight)
        await (held.wait() if item == 0 else turn())
        in_flight -= 1
        if item == 3:
            held.set()
        return item * 10

    assert await at_most(2, do, range(4)) == [0, 10, 20, 30]
    assert began == [0, 1, 2, 3]
    assert most == 2
