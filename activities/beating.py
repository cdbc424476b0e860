"""Heartbeats for the activities that only write rows, so that a vanished worker is noticed soon.

A stage beats by itself, with details; a beat of ours would erase them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from stope import names

BEATS_PER_TIMEOUT = 4

_RECORDS = frozenset(
    {
        *(names.OPEN_RUN, names.OPEN_STAGE, names.SAVE_STAGE, names.CLOSE_PIPELINE),
        *(names.FAIL_RUN, names.MARK_RUN, names.OPEN_NEXT, names.COLLECT_GARBAGE),
        *(names.OPEN_STEPS, names.NOTE_STEP, names.CLOSE_STEPS),
    }
)


class RecordBeats(Interceptor):
    """Beats while an activity of the records runs."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002  (the SDK's name)
        """See ``Interceptor``."""
        return _Beating(next)


class _Beating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002  (the SDK's name)
        info = activity.info()
        if info.activity_type not in _RECORDS or info.heartbeat_timeout is None:
            return await super().execute_activity(input)
        pause = info.heartbeat_timeout.total_seconds() / BEATS_PER_TIMEOUT
        beating = asyncio.create_task(_beat(pause))
        try:
            return await super().execute_activity(input)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


async def _beat(pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        activity.heartbeat()
