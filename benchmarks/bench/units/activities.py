"""A Temporal activity for each segment, which stores its answer as our units are stored."""

from __future__ import annotations

import time
import uuid

from temporalio import activity
from temporalio.worker import Worker

from benchmarks.bench.child import serve
from benchmarks.bench.units.bare import asked
from benchmarks.bench.units.one_each import ASK, QUEUE, OneActivityEach
from benchmarks.bench.units.work import STAGE, SideDone, SideWork, check_count
from client import connect_temporal
from stope.engines import Engines
from stope.identity import digest_of
from stope.llm.chat import ChatModel
from stope.models.job import JsonObject
from stope.records.database import Database
from stope.records.units import SqlUnitStore
from stope.settings import load_settings


class Asking:
    """The activity."""

    def __init__(self, model: ChatModel, store: SqlUnitStore) -> None:
        self._model = model
        self._store = store

    @activity.defn(name=ASK)
    async def ask_segment(self, name: str, number: int) -> None:
        """One call, its answer stored."""
        began = time.perf_counter()
        reply = await asked(self._model, name, number)
        await self._store.commit(
            key_of(name, number), STAGE, reply.model_dump_json(), time.perf_counter() - began
        )


def key_of(name: str, number: int) -> str:
    """Where a segment's answer is stored."""
    return digest_of([STAGE, name, number])


class Activities:
    """A client and a worker in one process."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._engines = Engines(self._settings)

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One piece of work, timed from the start of the workflow to its result."""
        work = SideWork.model_validate(request)
        client = await connect_temporal(self._settings)
        model = await self._engines.chat(self._settings.llm)
        database = Database(self._settings.records_url)
        try:
            await database.migrate()
            store = SqlUnitStore(database)
            async with Worker(
                client,
                task_queue=QUEUE,
                workflows=[OneActivityEach],
                activities=[Asking(model, store).ask_segment],
            ):
                began = time.perf_counter()
                await client.execute_workflow(
                    OneActivityEach.run, work, id=f"one-each-{uuid.uuid4()}", task_queue=QUEUE
                )
                seconds = time.perf_counter() - began
            keys = [key_of(work.name, number) for number in range(work.segments)]
            check_count(len(await store.read_outputs(keys)), work)
        finally:
            await database.close()
        return SideDone(seconds=seconds).model_dump(mode="json")


if __name__ == "__main__":
    serve(Activities())
