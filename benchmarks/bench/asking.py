"""A fresh process that asks through the client for a job that is finished."""

from __future__ import annotations

import time

from benchmarks.bench.child import serve
from stope.models.frozen import Frozen
from stope.models.job import JobType, JsonObject
from stope.settings import load_settings


class Asked(Frozen):
    """``seconds`` from the first call to the result; ``importing`` is what came before."""

    seconds: float
    importing: float


async def ask(request: JsonObject) -> JsonObject:
    """Ask for the pipeline of ``recording``. No server runs: only the records can answer."""
    began = time.perf_counter()
    from client import JobClient

    imported = time.perf_counter()
    async with JobClient(load_settings()) as client:
        await client.process_job(
            await client.create_job(JobType.PIPELINE, str(request["recording"]))
        )
    return Asked(seconds=time.perf_counter() - imported, importing=imported - began).model_dump(
        mode="json"
    )


if __name__ == "__main__":
    serve(ask)
