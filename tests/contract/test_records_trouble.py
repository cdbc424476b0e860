"""Records in trouble on real SQLite: locked for good, and out of room. Each is a sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from stope.errors import RecordsBusyError
from stope.records import database as database_module
from stope.records.database import Database
from stope.records.schema import unit


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
