"""Writes of one name one after another, of which only the newest that waits is made.

A write is a call in a thread, which goes on when nobody waits for it any more. Beside a later one
of the same name it could arrive last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from stope.errors import StopeError

log = logging.getLogger(__name__)

Do = Callable[[bytes | None], Awaitable[None]]
"""Writes bytes under a name, or deletes it for None."""


class LatestWrites:
    """The writes of one process to one store, by name."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[bytes | None, Do]] = {}
        self._at_work: dict[str, asyncio.Task[StopeError | None]] = {}

    async def make(self, name: str, data: bytes | None, do: Do, seconds: float) -> None:
        """Make a write after the one of this name that is at work, in the place of one that waits.

        Raises:
            TimeoutError: it is not made within so many seconds; it will be.
            StopeError: the last write of this name failed.
        """
        self._wanted[name] = (data, do)
        task = self._at_work.get(name)
        if task is None or task.done():
            task = self._at_work[name] = asyncio.create_task(self._drain(name))
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        error = task.result()
        if error is not None:
            raise error

    async def _drain(self, name: str) -> StopeError | None:
        failed: StopeError | None = None
        try:
            while name in self._wanted:
                data, do = self._wanted.pop(name)
                try:
                    await do(data)
                except StopeError as error:
                    log.info("%s: %s", name, error)
                    failed = error
                else:
                    failed = None
        finally:
            self._at_work.pop(name, None)
        return failed
