"""Whoever comes first to a new SQLite file switches its log on; who comes second waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from stope.records.wal import use_wal


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who reads a file that is in no WAL mode yet, which locks it."""
    with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        yield connection


def _mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_locked_file_is_tried_again_until_it_is_free(
    tmp_path: Path, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            reader.execute("ROLLBACK")

    monkeypatch.setattr("stope.records.wal.time.sleep", pause)
    use_wal(str(tmp_path / "records.db"), 60.0)
    assert len(pauses) == 3
    assert _mode(tmp_path / "records.db") == "wal"


@pytest.mark.usefixtures("reader")
def test_a_file_that_stays_locked_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(str(tmp_path / "records.db"), 0.0)


def test_many_at_once_on_new_files_are_fine(tmp_path: Path) -> None:
    crowd = 8
    with ThreadPoolExecutor(crowd) as pool:
        for number in range(20):
            path, together = tmp_path / f"{number}.db", Barrier(crowd)

            def switch(path: Path = path, together: Barrier = together) -> None:
                together.wait()
                use_wal(str(path), 60.0)

            for done in [pool.submit(switch) for _ in range(crowd)]:
                done.result()
            assert _mode(path) == "wal"
