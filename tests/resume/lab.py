"""A home with a real Temporal server and real worker processes that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from sqlalchemy import func, select

from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import JsonObject
from stope.records.database import Database
from stope.records.schema import unit
from stope.settings import Settings

ROOT = Path(__file__).parents[2]
HEARTBEAT_SECONDS = 3


class Lab:
    """One ``STOPE_HOME``: its server, its worker process, its jobs."""

    def __init__(self, home: Path, llm: str, models: Path) -> None:
        self.settings = Settings(
            home=home,
            models=models,
            llm=llm,
            temporal_port=0,
            heartbeat_timeout=HEARTBEAT_SECONDS,
            temporal_address=None,
        )
        self.server = DevServer(self.settings)
        self.worker: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """What workers have in their environment besides."""
        self._log = home / "worker.log"

    def start_server(self) -> None:
        self.server.ensure()

    def start_worker(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOPE_", "TEMPORAL_", "OPENAI_"))
        } | {
            "STOPE_HOME": str(self.settings.home),
            "STOPE_MODELS": str(self.settings.models),
            "STOPE_LLM": self.settings.llm,
            "STOPE_LOG_LEVEL": "INFO",
            **self.environment,
        }
        with self._log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def kill_worker(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.worker is not None
        self.worker.send_signal(number)
        self.worker.wait(timeout=60)

    def kill_server(self) -> None:
        info = self.server.running()
        assert info is not None
        process = psutil.Process(info.pid)
        process.kill()
        # Until it is gone it may still answer, and would be taken for a running one.
        process.wait(timeout=30)

    def kill(self, target: str) -> None:
        """Kill the worker, the server, or both, and start what was killed again."""
        if target in ("worker", "both"):
            self.kill_worker()
        if target in ("server", "both"):
            self.kill_server()
        self.start_server()
        if target in ("worker", "both"):
            self.start_worker()

    def close(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.kill_worker()
        self.server.stop()

    async def committed(self, stage: str) -> int:
        """Units of a stage that are in the store."""
        database = Database(self.settings.records_url)
        try:
            async with database.reading() as connection:
                query = select(func.count()).select_from(unit).where(unit.c.stage == stage)
                return int(await connection.scalar(query) or 0)
        finally:
            await database.close()

    def client(self) -> JobClient:
        return JobClient(self.settings)


def digests(result: JsonObject) -> dict[str, object]:
    """The content digests of a final result."""
    parts = result["result"]
    assert isinstance(parts, dict)
    return {name: value for name, value in parts.items() if name.endswith("_digest")}
