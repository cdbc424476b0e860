"""A Temporal workflow with an activity for every segment: what most people write first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.bench.units.work import SideWork

QUEUE = "segments"
ASK = "ask_segment"

_LONGEST_CALL = timedelta(minutes=1)


@workflow.defn
class OneActivityEach:
    """The segments in order, or so many at once."""

    @workflow.run
    async def run(self, work: SideWork) -> int:
        """How many segments have an answer."""
        free = asyncio.Semaphore(work.slots)

        async def one(number: int) -> None:
            async with free:
                await workflow.execute_activity(
                    ASK,
                    args=[work.name, number],
                    task_queue=QUEUE,
                    start_to_close_timeout=_LONGEST_CALL,
                )

        await asyncio.gather(*map(one, range(work.segments)))
        return work.segments
