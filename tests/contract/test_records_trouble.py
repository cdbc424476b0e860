"""Records in trouble: locked, out of room or of connections, unanswered. Each is a sentence."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from stope.errors import RecordsBusyError, RecordsError
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.records import database as database_module
from stope.records.database import Database
from stope.records.ledger import SqlLedgerStore
from stope.records.schema import llm_answer, unit


@pytest.fixture
async def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Records that soon lose their patience."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr(database_module, "PERSIST_SECONDS", 0.5)
    opened = Database(f"sqlite:///{tmp_path}/records.db")
    await opened.migrate()
    yield opened
    await opened.close()


def row(key: str, size: int = 10) -> dict[str, object]:
    return {
        "key": key,
        "stage": "mine",
        "output": bytes(size),
        "seconds": 1.0,
        "created_at": datetime.now(UTC),
    }


async def keys(records: Database) -> list[str]:
    async with records.reading() as connection:
        return [found.key for found in await connection.execute(unit.select())]


class RefusedError(Exception):
    """What PostgreSQL's driver raises: a code beside the words."""

    def __init__(self, sqlstate: str, words: str) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("08003", "connection was closed in the middle of operation"),
        ("57P03", "the database system is starting up"),
        ("57014", "canceling statement due to statement timeout"),
        ("53200", "out of memory"),
        ("58030", "could not read block"),
        ("25006", "cannot execute INSERT in a read-only transaction"),
    ],
)
def test_what_passes_at_postgresql_is_tried_again(state: str, words: str) -> None:
    database = Database("postgresql://somebody@127.0.0.1/records")
    error = database._translate(DBAPIError("INSERT", {}, RefusedError(state, words)))
    assert isinstance(error, RecordsBusyError)
    assert words in str(error)


def test_a_full_disk_of_postgresql_is_named_and_a_wrong_statement_is_not_tried_again() -> None:
    database = Database("postgresql://somebody@127.0.0.1/records")
    full = database._translate(
        DBAPIError("INSERT", {}, RefusedError("53100", "could not extend file: No space left"))
    )
    assert isinstance(full, RecordsBusyError)
    assert "free some space" in str(full)
    wrong = database._translate(DBAPIError("INSERT", {}, RefusedError("42601", "syntax error")))
    assert isinstance(wrong, RecordsError)


async def test_records_that_stay_locked_are_named(
    records: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RecordsBusyError) as caught:
            await records.insert_new(unit, [row("a")])
        other.execute("COMMIT")
    sentence = f"The records at {tmp_path}/records.db are locked by another program"
    assert str(caught.value).startswith(sentence)
    assert sentence in caplog.text
    await records.insert_new(unit, [row("a")])
    assert await keys(records) == ["a"]


async def test_records_without_room_are_named_and_keep_what_they_have(
    records: Database, tmp_path: Path
) -> None:
    await records.insert_new(unit, [row("a")])

    def fill(connection: Connection) -> None:
        pages = connection.scalar(text("PRAGMA page_count"))
        # SQLite says the same when the disk has no page left.
        connection.execute(text(f"PRAGMA max_page_count={pages}"))

    await records.transact(fill)
    with pytest.raises(RecordsBusyError) as caught:
        await records.insert_new(unit, [row("b", 100_000)])
    assert str(caught.value) == (
        f"The disk that holds the records ({tmp_path}/records.db) is full; free some space and "
        "the work goes on."
    )
    assert await keys(records) == ["a"]


async def test_records_without_a_connection_left_are_busy(
    migrated_url: str, open_database: Callable[[str], Database]
) -> None:
    opened = open_database(migrated_url)
    pool = opened.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    pool._timeout = 0.05
    async with AsyncExitStack() as stack:
        for _ in range(pool.size() + pool._max_overflow):
            await stack.enter_async_context(opened.reading())
        with pytest.raises(RecordsBusyError, match="All connections"):
            await stack.enter_async_context(opened.reading())
        with pytest.raises(RecordsBusyError, match="All connections"):
            await stack.enter_async_context(opened.writing())


async def test_a_server_that_takes_us_in_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(database_module._SERVER_SECONDS, "timeout", 0.2)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    opened = Database(f"postgresql://user:secret@127.0.0.1:{port}/records")
    with pytest.raises(RecordsBusyError, match="do not answer") as caught:
        async with opened.reading():
            raise AssertionError("it let us in")
    assert "secret" not in str(caught.value)
    await opened.close()
    silent.close()


def test_where_the_records_are_is_said_without_any_password() -> None:
    opened = Database("postgresql://user:secret@host/records?password=hidden&ssl=require")
    assert opened.display_url == "postgresql+asyncpg://user:***@host/records"


async def test_what_models_say_is_stored_whatever_it_is(database: Database) -> None:
    """No answer that is paid for is lost by a name or a reason that is strange."""
    strange, model = "a\0b \ud800", f"http://host/v1#{'m' * 300}"
    request = ChatRequest(
        model=model,
        messages=(Message(role="user", content="grass"),),
        schema_name="colour",
        answer_schema={},
        max_tokens=5,
    )
    answer = ChatAnswer(content=strange, finish_reason="x" * 99 + "\0", latency=0)
    store = SqlLedgerStore(database)
    entry = await store.receive("key", request, answer, "mine-1")
    await store.reject(entry.id, strange)
    found = await store.find("key", datetime(2000, 1, 1, tzinfo=UTC))
    assert found is not None
    assert (found.reason, found.answer.content) == ("a\ufffdb \ufffd", strange)
    assert found.answer.finish_reason == "x" * 32
    [row] = await database.fetch(llm_answer.select())
    assert row.model == model
