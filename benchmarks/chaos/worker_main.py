"""The processes of a disturbed run, in a process that has everything imported already."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import cast

import worker
from benchmarks.chaos.journal import JournalWriter
from benchmarks.chaos.orders import Orders
from benchmarks.chaos.ports import Trigger, put_boundaries
from client import JobClient

JOURNAL, ORDERS = "CHAOS_JOURNAL", "CHAOS_ORDERS"
"""Environment variables: the two files that a run's processes share."""


def work() -> int:
    """``worker.main`` with boundaries around its ports."""
    # The server tells callers apart by their key.
    os.environ["OPENAI_API_KEY"] = f"worker-{os.getpid()}"
    trigger = Trigger(JournalWriter(Path(os.environ[JOURNAL])), Orders(Path(os.environ[ORDERS])))
    put_boundaries(trigger)
    sys.argv = ["worker"]
    return worker.main()


def submit() -> int:
    """Ask for a job and start it, at a moment that others know too; its id goes to a file."""
    return asyncio.run(_submit(json.loads(os.environ["CHAOS_SUBMIT"])))


async def _submit(asked: dict[str, object]) -> int:
    async with JobClient() as client:
        config = cast("dict[str, object]", asked["config"])
        job_id = await client.create_job(str(asked["type"]), str(asked["input"]), config)
        await client.temporal()
        await asyncio.sleep(max(0.0, float(str(asked["at"])) - time.monotonic()))
        await client.start_job(job_id, max_workers=int(str(asked["slots"])))
    await asyncio.to_thread(Path(str(asked["answer"])).write_text, job_id)
    return 0


ROLES = {"work": work, "submit": submit}
