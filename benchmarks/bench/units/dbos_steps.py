"""A DBOS step for each segment, on SQLite: DBOS stores the step's answer itself.

See https://docs.dbos.dev/python/tutorials/step-tutorial.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from dbos import DBOS, SetWorkflowID

from benchmarks.bench.bare import at_most
from benchmarks.bench.child import serve
from benchmarks.bench.units.bare import asked
from benchmarks.bench.units.work import SideDone, SideWork, check_count
from stope.engines import Engines
from stope.llm.chat import ChatModel
from stope.models.job import JsonObject
from stope.settings import load_settings

_MODELS: list[ChatModel] = []
"""What a step asks: a step's arguments are stored, so that it cannot be one of them."""


@DBOS.step()
async def ask_segment(name: str, number: int) -> str:
    """One call; what it gives is what DBOS commits."""
    return (await asked(_MODELS[0], name, number)).model_dump_json()


@DBOS.workflow()
async def segments(name: str, count: int, slots: int) -> int:
    """The segments in order, or so many at once. Steps are numbered before any of them begins."""
    steps = [ask_segment(name, number) for number in range(count)]

    async def one(step: Awaitable[str]) -> str:
        return await step

    return len(await at_most(slots, one, steps))


class Steps:
    """DBOS in this process, with its system database in the home."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._engines = Engines(self._settings)

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One piece of work, timed from the start of the workflow to its result."""
        work = SideWork.model_validate(request)
        if not _MODELS:
            _MODELS.append(await self._engines.chat(self._settings.llm))
            database = self._settings.home.absolute() / "dbos.db"
            DBOS(
                config={
                    "name": "segments",
                    "system_database_url": f"sqlite:///{database}",
                    "log_level": "WARNING",
                }
            )
            await asyncio.to_thread(DBOS.launch)
        began = time.perf_counter()
        with SetWorkflowID(work.name):
            await segments(work.name, work.segments, work.slots)
        seconds = time.perf_counter() - began
        check_count(len(await DBOS.list_workflow_steps_async(work.name)), work)
        return SideDone(seconds=seconds).model_dump(mode="json")

    async def close(self) -> None:
        """Let DBOS end its threads."""
        await asyncio.to_thread(DBOS.destroy)


if __name__ == "__main__":
    side = Steps()
    serve(side, side.close)
