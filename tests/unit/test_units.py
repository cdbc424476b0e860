"""The durable unit: what is committed is never done again, and only what is committed is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

import stope.units
from stope.errors import (
    ChunkUndecodableError,
    InputError,
    ProviderRateLimitedError,
    RecordsBusyError,
    StageFailedError,
    WorkerDrainingError,
)
from stope.units import Tally, Unit, UnitOutputs, run_units, stored_plan
from tests.builders import Note, Work, turn
from tests.memory import MemoryUnitStore

OLD = Note(text="old").model_dump_json()
NO_SOUND = ChunkUndecodableError("no sound")


class Reports:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []

    async def __call__(self, tally: Tally) -> None:
        self.tallies.append(tally)


def units_of(*names: str) -> list[Unit[str]]:
    """A plan of units, each keyed by its name without digits: ``a1`` and ``a2`` share a key."""
    return [
        Unit(id=name, key=name.rstrip("0123456789"), item=name, start=number, end=number + 1)
        for number, name in enumerate(names)
    ]


async def run(
    units: Sequence[Unit[str]],
    work: Work,
    store: MemoryUnitStore,
    *,
    concurrency: int = 1,
    report: Callable[[Tally], Awaitable[None]] | None = None,
    draining: asyncio.Event | None = None,
) -> UnitOutputs[Note]:
    return await run_units(
        units,
        work,
        stage="mine",
        store=store,
        output=Note,
        concurrency=concurrency,
        report=report or Reports(),
        draining=draining or asyncio.Event(),
    )


async def test_committed_units_are_read_back_and_never_done_again() -> None:
    store, work = MemoryUnitStore(a=OLD, c=OLD), Work()
    done = await run(units_of("a", "b", "c"), work, store)
    assert (work.began, done.reused) == (["b"], 2)
    assert [note.text for note in done.outputs.values()] == ["old", "new b", "old"]
    again = Work()
    assert (await run(units_of("a", "b", "c"), again, store)).outputs == done.outputs
    assert again.began == []


async def test_outputs_stand_in_plan_order_whatever_the_order_of_the_work() -> None:
    work, store = Work("a"), MemoryUnitStore()
    running = asyncio.create_task(run(units_of("a", "b", "c"), work, store, concurrency=2))
    await work.until_begun("c")
    await work.finish("a")
    assert list((await running).outputs) == ["a", "b", "c"]
    assert store.commits[0] == "b"


async def test_no_more_units_are_in_flight_than_allowed() -> None:
    work = Work()
    await run(units_of("a", "b", "c", "d", "e"), work, MemoryUnitStore(), concurrency=2)
    assert work.most_in_flight == 2


async def test_units_of_equal_key_are_done_once_and_all_get_the_output() -> None:
    work, reports = Work(), Reports()
    units = units_of("a1", "b", "a2")
    done = await run(units, work, MemoryUnitStore(), concurrency=3, report=reports)
    assert work.began == ["a1", "b"]
    assert done.outputs["a1"] == done.outputs["a2"] == Note(text="new a1")
    assert reports.tallies[-1].committed == ["a1", "b", "a2"]


async def test_a_unit_that_cannot_be_done_is_a_named_gap_and_the_rest_goes_on() -> None:
    done = await run(units_of("a", "b1", "b2", "c"), Work(b1=NO_SOUND), MemoryUnitStore())
    assert list(done.outputs) == ["a", "c"]
    assert [gap.model_dump() for gap in done.gaps] == [
        {"stage": "mine", "unit_id": "b1", "reason": "no sound", "start": 1, "end": 2},
        {"stage": "mine", "unit_id": "b2", "reason": "no sound", "start": 2, "end": 3},
    ]


async def test_a_gap_is_tried_again_by_the_next_run() -> None:
    store, work = MemoryUnitStore(), Work()
    await run(units_of("a", "b"), Work(b=NO_SOUND), store)
    assert (await run(units_of("a", "b"), work, store)).gaps == ()
    assert work.began == ["b"]


async def test_a_stage_without_a_single_output_fails() -> None:
    with pytest.raises(StageFailedError, match="Not one of 2 mine units could be done: no sound"):
        await run(units_of("a", "b"), Work(a=NO_SOUND, b=NO_SOUND), MemoryUnitStore())


async def test_no_units_give_no_outputs_and_no_failure() -> None:
    reports = Reports()
    done = await run([], Work(), MemoryUnitStore(), report=reports)
    assert done == UnitOutputs(outputs={}, gaps=(), reused=0, engine_seconds=0.0)
    assert [(tally.total, tally.committed) for tally in reports.tallies] == [(0, [])]


@pytest.mark.parametrize(
    "error", [ProviderRateLimitedError("slower"), InputError("gone"), RuntimeError("a bug")]
)
async def test_an_error_lets_flights_commit_and_begins_nothing_new(error: Exception) -> None:
    work, store = Work("a", "b", a=error), MemoryUnitStore()
    running = asyncio.create_task(run(units_of("a", "b", "c"), work, store, concurrency=2))
    await work.until_begun("a", "b")
    await work.finish("a", "b")
    with pytest.raises(type(error)) as caught:
        await running
    assert caught.value is error
    assert (work.began, store.commits) == (["a", "b"], ["b"])


async def test_draining_commits_what_is_in_flight_and_begins_nothing_new() -> None:
    work, store, draining = Work("a"), MemoryUnitStore(), asyncio.Event()
    running = asyncio.create_task(run(units_of("a", "b", "c"), work, store, draining=draining))
    await work.until_begun("a")
    draining.set()
    await work.finish("a")
    with pytest.raises(WorkerDrainingError, match="with 2 of 3 mine units to do"):
        await running
    assert (work.began, store.commits) == (["a"], ["a"])


async def test_draining_with_nothing_left_to_do_ends_well() -> None:
    draining = asyncio.Event()
    draining.set()
    done = await run(units_of("a"), Work(), MemoryUnitStore(a=OLD), draining=draining)
    assert list(done.outputs) == ["a"]


async def test_a_cancelled_run_commits_what_is_in_flight_and_begins_nothing_new() -> None:
    work, store = Work("a", "b"), MemoryUnitStore()
    running = asyncio.create_task(run(units_of("a", "b", "c"), work, store, concurrency=2))
    await work.until_begun("a", "b")
    running.cancel()
    await turn(3)
    await work.finish("a", "b")
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (work.began, store.commits) == (["a", "b"], ["a", "b"])


async def test_a_cancelled_run_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stope.units, "FLIGHT_GRACE", 0)
    work, store = Work("a"), MemoryUnitStore()
    running = asyncio.create_task(run(units_of("a"), work, store))
    await work.until_begun("a")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (work.in_flight, store.commits) == (0, [])


async def test_only_what_is_committed_is_reported() -> None:
    store, told = MemoryUnitStore(b=OLD), list[tuple[list[str], str | None]]()

    async def report(tally: Tally) -> None:
        assert set(tally.committed) <= store.outputs.keys()
        told.append((tally.committed, tally.cursor))

    await run(units_of("a", "b", "c"), Work(), store, report=report)
    assert told == [(["b"], None), (["a", "b"], "a"), (["a", "b", "c"], "c")]


async def test_a_commit_that_fails_is_not_reported_and_its_error_comes_out() -> None:
    store, reports = MemoryUnitStore(), Reports()
    store.refusal = RecordsBusyError("locked")
    with pytest.raises(RecordsBusyError):
        await run(units_of("a", "b"), Work(), store, report=reports)
    assert [tally.committed for tally in reports.tallies] == [[]]


async def test_the_cursor_is_the_last_committed_unit_also_after_a_gap() -> None:
    reports = Reports()
    await run(units_of("a", "b"), Work(b=NO_SOUND), MemoryUnitStore(), report=reports)
    assert [tally.cursor for tally in reports.tallies] == [None, "a", "a"]


async def test_a_report_that_fails_lets_flights_commit() -> None:
    work, store, failed = Work("b"), MemoryUnitStore(), asyncio.Event()

    async def report(tally: Tally) -> None:
        if tally.cursor == "a":
            failed.set()
            raise RuntimeError("the heartbeat is gone")

    running = asyncio.create_task(
        run(units_of("a", "b"), work, store, concurrency=2, report=report)
    )
    await failed.wait()
    await turn(5)
    await work.finish("b")
    with pytest.raises(RuntimeError, match="heartbeat"):
        await running
    assert store.commits == ["a", "b"]


async def test_the_plan_that_was_stored_first_is_followed_by_all() -> None:
    store, both_found_none = MemoryUnitStore(), asyncio.Barrier(2)

    async def make(text: str) -> Note:
        await both_found_none.wait()
        return Note(text=text)

    first, second = await asyncio.gather(
        stored_plan(store, "plan", "mine", Note, lambda: make("first")),
        stored_plan(store, "plan", "mine", Note, lambda: make("second")),
    )
    assert first == second == Note.model_validate_json(store.plans["plan"])


async def test_a_stored_plan_is_not_made_again() -> None:
    store = MemoryUnitStore()
    store.plans["plan"] = OLD

    async def make() -> Note:
        raise AssertionError("made again")

    assert await stored_plan(store, "plan", "mine", Note, make) == Note(text="old")
