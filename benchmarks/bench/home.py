"""A home for one measurement: its own Temporal server, and the real worker in its own process."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench.child import ROOT, ended, environment, last_line
from benchmarks.bench.measure import MeasurementError
from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import JobType, JsonObject
from stope.settings import Settings

_LEAVE_SECONDS = 60


@dataclass(frozen=True)
class Processed:
    """A finished job: what it took from the client's first call to its result."""

    job_id: str
    began: datetime
    seconds: float


class Home:
    """Jobs in a running home."""

    def __init__(
        self,
        client: JobClient,
        worker: asyncio.subprocess.Process,
        worker_log: Path,
        server_pid: int,
    ) -> None:
        self.client = client
        self.server_pid = server_pid
        self.worker_pid = worker.pid
        self._worker = worker
        self._log = worker_log

    async def process(
        self,
        job_type: JobType,
        recording: Path,
        config: Mapping[str, object],
        max_workers: int | None = None,
    ) -> Processed:
        """Ask for a job and wait for its result.

        Raises:
            JobFailedError: it failed.
            MeasurementError: the worker died.
        """
        began, start = datetime.now(UTC), time.perf_counter()

        async def work() -> str:
            job_id = await self.client.create_job(job_type, recording, config)
            await self.client.process_job(job_id, max_workers=max_workers)
            return job_id

        working = asyncio.create_task(work())
        leaving = asyncio.create_task(self._worker.wait())
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        seconds = time.perf_counter() - start
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            raise MeasurementError(f"The worker died; it said: {last_line(self._log)}")
        leaving.cancel()
        return Processed(working.result(), began, seconds)

    async def metrics(self, job_id: str) -> dict[str, JsonObject]:
        """What the stages of a pipeline recorded of themselves, by stage."""
        found: dict[str, JsonObject] = {}
        for stage in await self.client.stage_jobs(job_id):
            runs = await self.client.runs(stage.id)
            found[stage.type.value] = (runs[-1].metrics or {}) if runs else {}
        return found


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Home]:
    """A home that works; afterwards its worker and its server are ended."""
    server = DevServer(settings)
    serving = await asyncio.to_thread(server.ensure)
    log = settings.home / "worker.log"
    with log.open("ab") as stream:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "worker.py"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment(settings),
            cwd=ROOT,
        )
    try:
        async with JobClient(settings) as client:
            yield Home(client, worker, log, serving.pid)
    finally:
        if worker.returncode is None:
            worker.terminate()
        await ended(worker, _LEAVE_SECONDS)
        await asyncio.to_thread(server.stop)
