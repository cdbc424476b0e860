"""SQLite's writes: what comes in together is committed together, and each has its own end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import IntegrityError

from stope.records.database import Database
from stope.records.schema import plan
from stope.records.units import SqlUnitStore

FULL, NORMAL = 2, 1


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/records.db")
    await database.migrate()
    yield database
    await database.close()


class Gate:
    """Holds the writing thread, so that what is written meanwhile waits and goes together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entered, self._go = threading.Event(), threading.Event()

    async def __aenter__(self) -> None:
        def hold(_link: Connection) -> None:
            self._entered.set()
            assert self._go.wait(30)

        self._held = asyncio.create_task(self._database.transact(hold))
        assert await asyncio.to_thread(self._entered.wait, 30)

    async def __aexit__(self, *_error: object) -> None:
        # One turn of the loop, so that the tasks begun meanwhile have asked to write.
        await asyncio.sleep(0)
        self._go.set()
        await self._held


def storing(key: str, *, fails: type[Exception] | None = None) -> Callable[[Connection], str]:
    """Stores a plan under a key, and then fails if it is to."""

    def store(link: Connection) -> str:
        link.execute(
            text(
                "INSERT INTO plan (key, stage, body, created_at) "
                "VALUES (:key, 'mine', 'x', '2030-01-01')"
            ),
            {"key": key},
        )
        if fails is not None:
            raise fails(key)
        return key

    return store


async def stored(database: Database) -> list[str]:
    rows = await database.fetch(select(plan.c.key).order_by(plan.c.key))
    return [row.key for row in rows]


def levels_seen(link: Connection) -> int:
    """SQLite's ``synchronous`` where a transaction is done."""
    return int(link.exec_driver_sql("PRAGMA synchronous").scalar_one())


async def test_what_comes_in_while_another_is_written_shares_one_commit(records: Database) -> None:
    commits = 0

    def count(_link: Connection) -> None:
        nonlocal commits
        commits += 1

    event.listen(records._threads._engine, "commit", count)
    async with Gate(records):
        writing = [asyncio.create_task(records.transact(storing(key))) for key in "abcd"]
    assert await asyncio.gather(*writing) == list("abcd")
    assert await stored(records) == list("abcd")
    # The gate's own, and one for all four.
    assert commits == 2


async def test_one_that_fails_keeps_its_error_and_the_others_are_written(records: Database) -> None:
    async with Gate(records):
        writing = [
            asyncio.create_task(records.transact(storing("a"))),
            asyncio.create_task(records.transact(storing("b", fails=LookupError))),
            asyncio.create_task(records.transact(storing("c"))),
            # A second row under a key that is there by then.
            asyncio.create_task(records.transact(storing("a"))),
        ]
    first, second, third, fourth = await asyncio.gather(*writing, return_exceptions=True)
    assert (first, third) == ("a", "c")
    assert isinstance(second, LookupError)
    assert isinstance(fourth, IntegrityError)
    assert await stored(records) == ["a", "c"]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_one_that_rolls_back_takes_nobody_along(records: Database, place: int) -> None:
    def look_only(link: Connection) -> str:
        storing("never")(link)
        link.rollback()
        return "looked"

    works = [storing("a"), storing("b")]
    works.insert(place, look_only)
    async with Gate(records):
        writing = [asyncio.create_task(records.transact(work)) for work in works]
    assert sorted(await asyncio.gather(*writing)) == ["a", "b", "looked"]
    assert await stored(records) == ["a", "b"]


async def test_who_is_cancelled_takes_nobody_along(records: Database) -> None:
    async with Gate(records):
        leaving = asyncio.create_task(records.transact(storing("a")))
        staying = asyncio.create_task(records.transact(storing("b")))
        await asyncio.sleep(0)
        leaving.cancel()
    assert await staying == "b"
    assert await stored(records) == ["a", "b"]


async def test_only_what_may_be_forgotten_with_the_machine_does_not_wait_for_the_disk(
    records: Database,
) -> None:
    assert await records.transact(levels_seen) == FULL
    assert await records.transact(levels_seen, durable=False) == NORMAL
    async with Gate(records):
        together = [
            asyncio.create_task(records.transact(levels_seen, durable=False)),
            asyncio.create_task(records.transact(levels_seen)),
        ]
    assert await asyncio.gather(*together) == [FULL, FULL]


async def test_a_unit_waits_for_the_disk_unless_it_is_made_of_answers(records: Database) -> None:
    """Those are on the disk before it. One that was heard would be heard again for an hour."""
    store = SqlUnitStore(records, "a run")
    levels = await committing(records, store, "heard")
    assert levels == {FULL}
    levels = await committing(records, store.of_answers(), "mined")
    assert levels == {FULL, NORMAL}, "the note of what a run needs is FULL, the unit is not"
    assert set(await store.read_outputs(["heard", "mined"])) == {"heard", "mined"}


async def committing(records: Database, store: SqlUnitStore, key: str) -> set[int]:
    """How those statements were committed that a unit's commit executes."""
    seen: set[int] = set()

    def note(link: Connection, *_statement: object) -> None:
        cursor = link.connection.cursor()
        seen.add(cursor.execute("PRAGMA synchronous").fetchone()[0])
        cursor.close()

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await store.commit(key, "mine", "{}", 0.1)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return seen


async def test_what_did_not_wait_for_the_disk_is_seen_by_every_other_process(
    records: Database, tmp_path: Path
) -> None:
    await records.transact(storing("a"), durable=False)
    other = Database(f"sqlite:///{tmp_path}/records.db")
    assert await stored(other) == ["a"]
    await other.close()
