"""SQLite's write-ahead log, switched on by whoever comes first."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing

_PAUSE = 0.01
"""Seconds; who switches has the file for itself for about a millisecond."""


def use_wal(path: str, timeout: float) -> None:
    """Bring a SQLite file into WAL mode, in which it then stays; it is made if it is not there.

    Two that switch at once hold each other up, and SQLite tells one of them at once that the file
    is locked, whatever its busy time-out. So that one tries again. It blocks, on a connection of
    its own: of two that wait in one event loop, neither may hold the file until the loop goes on.

    Args:
        path: the file.
        timeout: seconds to wait for others at most.

    Raises:
        sqlite3.Error: the file cannot be used, or is locked for longer.
    """
    deadline = time.monotonic() + timeout
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL").fetchall()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(random.uniform(0, _PAUSE))  # noqa: S311  (no secret)
            else:
                return
