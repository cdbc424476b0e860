"""Leases: of two that want the same at once one makes it, and the dead hold nobody up for long."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stope.errors import WorkerDrainingError
from stope.leases import Holder, Leases, LeaseStore
from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import LedgerEntry
from stope.llm.scripted import finished
from stope.records.database import Database
from stope.records.leases import SqlLeaseStore
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.units import Unit, UnitOutputs, run_units
from tests.builders import Note
from tests.contract.contender import KEYS
from tests.memory import MemoryLeaseStore
from tests.waiting import until

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
LONG, SHORT = 60.0, 0.05
with_memory = pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"], indirect=True)


def holder_of(run: str = "run-1", attempt: int = 1) -> Holder:
    return Holder.of(run, BEGAN + timedelta(seconds=attempt))


@pytest.fixture
def leases(engine: str, request: pytest.FixtureRequest) -> LeaseStore:
    if engine == "memory":
        return MemoryLeaseStore()
    return SqlLeaseStore(request.getfixturevalue("database"))


async def taken_at_last(leases: LeaseStore, holder: Holder) -> None:
    """Ask until a lease is had; the clock of a store in memory moves by itself."""

    async def had() -> bool:
        if isinstance(leases, MemoryLeaseStore):
            leases.now += SHORT
        return bool(await leases.take(["a"], holder, LONG))

    await until(had, "the lease")


@with_memory
async def test_what_somebody_holds_nobody_else_gets_but_the_holder_may_ask_again(
    leases: LeaseStore,
) -> None:
    mine, theirs = holder_of("run-1"), holder_of("run-2")
    assert await leases.take(["a", "b"], mine, LONG) == {"a", "b"}
    assert await leases.take(["c", "b", "a"], theirs, LONG) == {"c"}
    # As after a commit whose answer was lost on the way.
    assert await leases.take(["a", "c"], mine, LONG) == {"a"}


@with_memory
async def test_of_two_in_one_attempt_who_ask_for_the_same_one_gets_it(leases: LeaseStore) -> None:
    mine = Leases(leases, "run-1", BEGAN)
    both = await asyncio.gather(mine.take(["a", "b"]), mine.take(["b", "c"]))
    assert sorted(key for some in both for key in some) == ["a", "b", "c"]
    assert await mine.take(["a", "b", "c"]) == frozenset()


@with_memory
async def test_a_key_is_confirmed_until_a_later_attempt_begins(leases: LeaseStore) -> None:
    mine = Leases(leases, "run-1", BEGAN)
    await mine.take(["a", "b"])
    assert await mine.confirmed("a")
    await Leases(leases, "run-1", BEGAN + timedelta(seconds=1)).take(["c"])
    assert not await mine.confirmed("a")
    assert not mine.sure("a")


@with_memory
async def test_what_was_let_go_is_free_and_nobody_lets_go_for_another(leases: LeaseStore) -> None:
    mine, theirs = holder_of("run-1"), holder_of("run-2")
    await leases.take(["a", "b"], mine, LONG)
    await leases.release(["a", "b"], theirs)
    assert await leases.take(["a", "b"], theirs, LONG) == frozenset()
    await leases.release(["a"], mine)
    assert await leases.take(["a", "b"], theirs, LONG) == {"a"}
    third = holder_of("run-3")
    await leases.release_all(mine)
    assert await leases.take(["a", "b"], third, LONG) == {"b"}


@with_memory
async def test_a_lease_that_nobody_renews_runs_out(leases: LeaseStore) -> None:
    await leases.take(["a"], holder_of("run-1"), SHORT)
    await taken_at_last(leases, holder_of("run-2"))
    assert await leases.renew(["a"], holder_of("run-1"), LONG) == frozenset()


@with_memory
async def test_a_renewed_lease_lasts(leases: LeaseStore) -> None:
    mine, theirs = holder_of("run-1"), holder_of("run-2")
    await leases.take(["a", "b"], mine, SHORT)
    assert await leases.renew(["a", "c"], mine, LONG) == {"a"}
    if isinstance(leases, MemoryLeaseStore):
        leases.now += 2 * SHORT

    async def b_ran_out() -> bool:
        return bool(await leases.take(["b"], theirs, LONG))

    await until(b_ran_out, "the lease that was not renewed")
    assert await leases.take(["a"], theirs, LONG) == frozenset()


@with_memory
async def test_a_new_attempt_takes_over_at_once_and_the_old_one_gets_nothing_more(
    leases: LeaseStore,
) -> None:
    first, second = holder_of(attempt=1), holder_of(attempt=2)
    await leases.take(["a", "b"], first, LONG)
    assert await leases.take(["a"], second, LONG) == {"a"}
    with pytest.raises(WorkerDrainingError, match="taken over this run"):
        await leases.take(["c", "a"], first, LONG)
    assert await leases.renew(["a"], first, LONG) == frozenset()
    assert await leases.take(["b", "c"], second, LONG) == {"b", "c"}


@with_memory
async def test_any_number_that_ask_at_once_share_without_overlap(leases: LeaseStore) -> None:
    keys = [f"{number:02d}" for number in range(30)]
    holders = [holder_of(f"run-{number}") for number in range(8)]
    orders = [keys, keys[::-1]] * 4
    taken = await asyncio.gather(
        *(leases.take(order, holder, LONG) for order, holder in zip(orders, holders, strict=True))
    )
    assert sorted(key for some in taken for key in some) == keys


async def test_leases_are_renewed_while_the_work_runs_and_let_go_at_its_end(
    database: Database,
) -> None:
    store, other = SqlLeaseStore(database), holder_of("run-2")
    renewals: list[int] = []

    class Counted(SqlLeaseStore):
        async def renew(self, keys: object, holder: Holder, seconds: float) -> frozenset[str]:
            renewals.append(1)
            return await super().renew(keys, holder, seconds)  # type: ignore[arg-type]  # as given

    async def renewed_often() -> bool:
        return len(renewals) >= 5

    async with Leases(Counted(database), "run-1", BEGAN, seconds=0.6) as mine:
        assert await mine.take(["a"]) == {"a"}
        # Longer than a lease lasts.
        await until(renewed_often, "five renewals")
        assert mine.sure("a")
        assert await store.take(["a"], other, LONG) == frozenset()
    assert await store.take(["a"], other, LONG) == {"a"}


class Payer:
    """Does units slowly enough that two runs of them meet, and notes what it was asked."""

    def __init__(self, name: str, paid: list[str]) -> None:
        self._name = name
        self._paid = paid

    async def __call__(self, unit: Unit[str]) -> Note:
        self._paid.append(unit.key)
        await asyncio.sleep(0.01)
        return Note(text=f"{self._name} {unit.item}")


async def test_two_runs_of_the_same_units_on_two_engines_pay_for_each_once_and_agree(
    migrated_url: str, open_database: Callable[[str], Database]
) -> None:
    paid: list[str] = []
    units = [Unit(id=f"u{number}", key=f"key{number}", item=str(number)) for number in range(24)]

    async def run(name: str, concurrency: int) -> UnitOutputs[Note]:
        database = open_database(migrated_url)

        async def report(_tally: object) -> None:
            """Nobody looks."""

        async with Leases(SqlLeaseStore(database), name, BEGAN) as leases:
            return await run_units(
                units if name == "run-1" else units[::-1],
                Payer(name, paid),
                stage="mine",
                store=SqlUnitStore(database),
                output=Note,
                concurrency=concurrency,
                report=report,
                draining=asyncio.Event(),
                leases=leases,
            )

    first, second = await asyncio.gather(run("run-1", 3), run("run-2", 2))
    assert sorted(paid) == sorted(unit.key for unit in units)
    assert first.outputs == second.outputs
    assert first.reused + second.reused == len(units)


async def test_processes_that_ask_the_same_at_once_pay_for_each_answer_once(
    migrated_url: str,
) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.contract.contender", migrated_url, f"run-{number}"),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0]
    calls = [
        line for out, _ in said for line in out.decode().splitlines() if line.startswith("paid")
    ]
    assert sorted(calls) == sorted(f"paid {key}" for key in KEYS)


async def test_a_look_into_the_ledger_follows_in_the_same_transaction(database: Database) -> None:
    ledger, leases = SqlLedgerStore(database), SqlLeaseStore(database)
    request = ChatRequest(
        model="scripted:model",
        messages=(Message(role="user", content="grass"),),
        schema_name="colour",
        answer_schema={},
        max_tokens=50,
    )
    seen: list[LedgerEntry | None] = []
    look = ledger.look("request", BEGAN)
    mine, theirs = holder_of("run-1"), holder_of("run-2")
    taken = await leases.take(["request"], mine, LONG, lambda link: seen.append(look(link)))
    entry = await ledger.receive("request", request, finished("green"), "mine-1")
    # Also by whoever does not get the lease.
    await leases.take(["request"], theirs, LONG, lambda link: seen.append(look(link)))
    assert (taken, seen) == ({"request"}, [None, await ledger.find("request", BEGAN)])
    assert seen[1] is not None
    assert seen[1].id == entry.id
