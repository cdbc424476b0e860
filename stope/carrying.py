"""Work that is carried to its end, also when whoever waits for it is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def carried_through(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; a cancellation is passed on when it has ended, and not before.

    For what must not be cut in the middle and ends by itself within a limit of its own.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            # Whoever is impatient cancels again.
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            # Else its error, if it has one, would be reported as one that nobody looked at.
            task.exception()
        raise
