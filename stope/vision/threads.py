"""Work in a thread that is over when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


async def in_thread(do: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Made:
    """What a call gives that is made in a thread. A cancellation waits until the call has ended.

    ``asyncio.to_thread`` would leave the thread alone with what its caller then closes.
    """
    return await stopped_in_thread(lambda: None, do, *args, **named)


async def stopped_in_thread(
    stop: Callable[[], None], do: Callable[Given, Made], *args: Given.args, **named: Given.kwargs
) -> Made:
    """The same; a cancellation calls ``stop`` first, so that the call ends early."""
    work = asyncio.ensure_future(asyncio.to_thread(do, *args, **named))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop()
        await _ended(work)
        raise


async def _ended(work: asyncio.Future[Made]) -> None:
    """Wait for its end, however often that is cancelled; nobody asks what it gave."""
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            continue
    if not work.cancelled():
        work.exception()
