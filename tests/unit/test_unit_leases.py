"""Units under leases: who comes second waits and reads, and the dead and the late do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from stope.errors import (
    ChunkUndecodableError,
    ProviderUnavailableError,
    WorkerDrainingError,
)
from stope.leases import Leases
from stope.unit_queue import MOST_AHEAD
from stope.units import Tally, Unit, UnitOutputs, run_units
from tests.builders import Note, Work, turn
from tests.memory import RUN_BEGAN, MemoryLeaseStore, MemoryUnitStore


def units_of(*names: str) -> list[Unit[str]]:
    return [Unit(id=name, key=name, item=name) for name in names]


def leases_of(store: MemoryLeaseStore, run: str = "run-1", attempt: int = 1) -> Leases:
    return Leases(store, run, RUN_BEGAN + timedelta(seconds=attempt))


class Runs:
    """Runs of the same units by several, on the same stores."""

    def __init__(self) -> None:
        self.leases = MemoryLeaseStore()
        self.units = MemoryUnitStore()
        self.tallies: list[Tally] = []
        self.draining = asyncio.Event()

    async def run(
        self,
        units: Sequence[Unit[str]],
        work: Work,
        run: str = "run-1",
        attempt: int = 1,
        concurrency: int = 1,
    ) -> UnitOutputs[Note]:
        return await run_units(
            units,
            work,
            stage="mine",
            store=self.units,
            output=Note,
            concurrency=concurrency,
            report=self._report,
            draining=self.draining,
            leases=leases_of(self.leases, run, attempt),
        )

    async def _report(self, tally: Tally) -> None:
        self.tallies.append(tally)


async def test_the_second_run_waits_for_what_the_first_makes_and_reads_it() -> None:
    runs, first, second = Runs(), Work("a"), Work()
    one = asyncio.create_task(runs.run(units_of("a"), first))
    await first.until_begun("a")
    two = asyncio.create_task(runs.run(units_of("a", "b"), second, "run-2"))
    await second.until_begun("b")
    while not any(tally.waiting for tally in runs.tallies):
        await turn()
    await first.finish("a")
    assert (await one).outputs["a"] == (await two).outputs["a"]
    assert second.began == ["b"]
    assert (await two).reused == 1


async def test_what_we_failed_at_and_another_run_made_is_no_gap() -> None:
    runs, first, second = Runs(), Work("b", a=ChunkUndecodableError("no sound")), Work()
    one = asyncio.create_task(runs.run(units_of("a", "b"), first))
    await first.until_begun("b")
    two = asyncio.create_task(runs.run(units_of("a"), second, "run-2"))
    made = (await two).outputs["a"]
    await first.finish("b")
    assert ((await one).gaps, (await one).outputs["a"]) == ((), made)


async def test_leases_that_came_after_they_had_run_out_are_asked_for_again() -> None:
    """The database was busy for longer than a lease lasts; nobody else took them meanwhile."""
    runs, work = Runs(), Work()

    class Late(Leases):
        def sure(self, key: str) -> bool:
            return False

    done = await run_units(
        units_of("a", "b"),
        work,
        stage="mine",
        store=runs.units,
        output=Note,
        concurrency=1,
        report=runs._report,
        draining=runs.draining,
        leases=Late(runs.leases, "run-1", RUN_BEGAN),
    )
    assert (sorted(done.outputs), work.began) == (["a", "b"], ["a", "b"])


async def test_what_the_first_failed_at_the_second_tries() -> None:
    runs, first, second = Runs(), Work("a", a=ChunkUndecodableError("no sound")), Work()
    one = asyncio.create_task(runs.run(units_of("a", "b"), first, concurrency=2))
    await first.until_begun("a", "b")
    two = asyncio.create_task(runs.run(units_of("a"), second, "run-2"))
    await turn(10)
    await first.finish("a")
    assert [gap.unit_id for gap in (await one).gaps] == ["a"]
    assert (await two).outputs == {"a": Note(text="new a")}


async def test_what_a_dead_run_held_is_done_when_its_lease_runs_out() -> None:
    runs, work = Runs(), Work()
    await leases_of(runs.leases, "dead").take(["a"])
    running = asyncio.create_task(runs.run(units_of("a"), work))
    await turn(20)
    assert work.began == []
    runs.leases.now += 31
    assert (await running).reused == 0
    assert work.began == ["a"]


async def test_a_new_attempt_does_at_once_what_the_old_one_held_and_the_old_one_stops() -> None:
    runs, old, new = Runs(), Work("a"), Work()
    late = asyncio.create_task(runs.run(units_of("a", "b", "c"), old))
    await old.until_begun("a")
    done = await runs.run(units_of("a", "b", "c"), new, attempt=2)
    assert new.began == ["a", "b", "c"]
    await old.finish("a")
    # Its commit came too late and did nothing, and it paid for nothing after it.
    with pytest.raises(WorkerDrainingError):
        await late
    assert old.began == ["a"]
    assert runs.units.outputs["a"] == done.outputs["a"].model_dump_json()


async def test_who_wakes_up_after_being_taken_for_dead_gives_what_was_committed_meanwhile() -> None:
    runs, frozen = Runs(), Work("a")
    waking = asyncio.create_task(runs.run(units_of("a"), frozen))
    await frozen.until_begun("a")
    theirs = Note(text="by somebody else")
    await runs.units.commit("a", "mine", theirs.model_dump_json(), 1.0)
    await frozen.finish("a")
    assert (await waking).outputs == {"a": theirs}
    assert runs.units.outputs["a"] == theirs.model_dump_json()


async def test_what_was_committed_between_planning_and_leasing_is_not_done_again() -> None:
    runs, work = Runs(), Work("a")
    running = asyncio.create_task(runs.run(units_of("a", "b"), work))
    await work.until_begun("a")
    await runs.units.commit("b", "mine", Note(text="theirs").model_dump_json(), 1.0)
    await work.finish("a")
    assert (await running).outputs["b"] == Note(text="theirs")
    assert work.began == ["a"]


async def test_leases_of_quick_units_are_taken_many_at_a_time() -> None:
    runs = Runs()
    names = [f"u{number:03d}" for number in range(10 * MOST_AHEAD)]
    await runs.run(units_of(*names), Work())
    assert runs.leases.takes <= 12


async def test_who_waits_for_another_run_leaves_when_the_worker_does() -> None:
    runs, work = Runs(), Work()
    await leases_of(runs.leases, "other").take(["a"])
    running = asyncio.create_task(runs.run(units_of("a"), work))
    await turn(20)
    runs.draining.set()
    with pytest.raises(WorkerDrainingError):
        await running


async def test_who_waits_for_another_run_can_be_cancelled() -> None:
    runs = Runs()
    await leases_of(runs.leases, "other").take(["a"])
    running = asyncio.create_task(runs.run(units_of("a"), Work()))
    await turn(20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_error_lets_go_of_the_unit_so_that_another_run_may_do_it() -> None:
    runs, work = Runs(), Work()
    with pytest.raises(ProviderUnavailableError):
        await runs.run(units_of("a"), Work(a=ProviderUnavailableError("down")))
    assert (await runs.run(units_of("a"), work, "run-2")).outputs
    assert work.began == ["a"]


async def test_two_runs_of_one_plan_share_its_units_and_agree() -> None:
    runs, first, second = Runs(), Work(), Work()
    names = [f"u{number:02d}" for number in range(40)]
    one, two = await asyncio.gather(
        runs.run(units_of(*names), first, concurrency=3),
        runs.run(units_of(*reversed(names)), second, "run-2", concurrency=2),
    )
    assert sorted(first.began + second.began) == names
    assert one.outputs == two.outputs
