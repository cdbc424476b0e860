"""The calls alone: nothing is stored, and a crash loses everything."""

from __future__ import annotations

import time

from benchmarks.bench.bare import at_most
from benchmarks.bench.child import serve
from benchmarks.bench.units.work import Reply, SideDone, SideWork, check_count, request_of
from stope.engines import Engines
from stope.llm.chat import ChatModel
from stope.models.job import JsonObject
from stope.settings import load_settings


class Bare:
    """Keeps its client between two pieces of work."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._engines = Engines(self._settings)

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One piece of work, timed."""
        work = SideWork.model_validate(request)
        model = await self._engines.chat(self._settings.llm)
        began = time.perf_counter()

        async def one(number: int) -> Reply:
            return await asked(model, work.name, number)

        replies = await at_most(work.slots, one, range(work.segments))
        seconds = time.perf_counter() - began
        check_count(len(replies), work)
        return SideDone(seconds=seconds).model_dump(mode="json")


async def asked(model: ChatModel, name: str, number: int) -> Reply:
    """One segment's answer, straight from the model."""
    answer = await model.complete(request_of(model, name, number))
    return Reply.model_validate_json(answer.content)


if __name__ == "__main__":
    serve(Bare())
