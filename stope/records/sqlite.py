"""SQLite as it is, blocking, in threads of ours: a whole transaction is one hop to one of them.

An asynchronous driver makes a hop for every step of a transaction, five or six, and each takes
longer than the commit. One thread writes, for SQLite has one writer at a time; what comes in while
it commits goes together in the next commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")

_READERS = 4
_MOST_TOGETHER = 64
"""Transactions in one commit: nobody is to wait for more than these."""


@dataclass(frozen=True)
class _Write:
    """A transaction that waits for its turn, and who waits for it."""

    work: Callable[[Connection], Any]
    durable: bool
    told: asyncio.Future[Any]

    def tell(self, result: object, error: BaseException | None) -> None:
        """Say how it ended, to whoever still waits."""
        if self.told.done():
            return
        if error is None:
            self.told.set_result(result)
        else:
            self.told.set_exception(error)


class _TakenBackError(Exception):
    """One of several transactions rolled back, and with it what the others had written."""


_Ended = tuple[_Write, object, BaseException | None]


class SqliteThreads:
    """The threads of one database.

    Args:
        connected: makes an engine, given SQLite's ``synchronous`` and how many connections it has.
    """

    def __init__(self, connected: Callable[[str, int], Engine]) -> None:
        self._engine = connected("FULL", _READERS + 1)
        self._light = connected("NORMAL", 1)
        self._writer = ThreadPoolExecutor(1, "records-writer")
        self._readers = ThreadPoolExecutor(_READERS, "records-reader")
        self._waiting: deque[_Write] = deque()
        self._lock = Lock()
        self._busy = False

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """A transaction, committed on success; it is ended also when nobody waits for it.

        Transactions are done in the order in which they came. Several may share a commit: they
        succeed together, and where one of them fails, or rolls back, each is done again by itself.

        Args:
            work: what is done, perhaps more than once. It may roll back to leave nothing written.
            durable: whether it is on the disk when this returns. What is not is safe from the end
                of any process; when the machine goes down it may be lost, as all its processes are.
                The next durable one takes it along.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._waiting.append(_Write(work, durable, told))
            begin, self._busy = not self._busy, True
            if begin:
                self._writer.submit(self._write_all)
        return await told

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read on a connection."""

        def look() -> T:
            with self._engine.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, look)

    def close(self) -> None:
        """Wait for what is written, and give the connections back."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()
        self._light.dispose()

    def _write_all(self) -> None:
        while some := self._next():
            _tell(self._ended(some))

    def _next(self) -> list[_Write]:
        with self._lock:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
            self._busy = bool(some)
            return some

    def _ended(self, writes: Sequence[_Write]) -> list[_Ended]:
        """How some transactions ended, all of which have."""
        engine = self._engine if any(write.durable for write in writes) else self._light
        try:
            with engine.begin() as connection:
                results = [write.work(connection) for write in writes]
                if len(writes) > 1 and not connection.in_transaction():
                    raise _TakenBackError
        except BaseException as error:  # noqa: BLE001  (whoever waits for it raises it)
            if len(writes) == 1:
                return [(writes[0], None, error)]
            # Nothing of them is written. An error is its own transaction's, and no other's.
            return [ended for write in writes for ended in self._ended([write])]
        return [(write, result, None) for write, result in zip(writes, results, strict=True)]


def _tell(ended: Sequence[_Ended]) -> None:
    """Wake each event loop once, for all that it waits for."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Ended]] = {}
    for one in ended:
        by_loop.setdefault(one[0].told.get_loop(), []).append(one)
    for loop, its in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell_each, its)
        except RuntimeError:
            # It was closed meanwhile: nobody is left to be told.
            if not loop.is_closed():
                raise


def _tell_each(ended: Sequence[_Ended]) -> None:
    for write, result, error in ended:
        write.tell(result, error)
