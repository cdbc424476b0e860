"""Where one disturbed run happens: its server, its records, its language model, its workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.chaos.billing import HEARTBEAT_SECONDS
from benchmarks.chaos.journal import Journal
from benchmarks.chaos.orders import Orders
from benchmarks.chaos.postgres import Postgres
from benchmarks.chaos.processes import Child, Nursery
from benchmarks.chaos.scripted_llm import ScriptedLlm
from benchmarks.chaos.worker_main import JOURNAL, ORDERS
from client import JobClient
from stope.dev_server import DevServer
from stope.settings import Settings

SLOTS = 3
"""Calls in flight at most, in each stage."""

WORKERS = 2
LLM_SECONDS = 3.0
"""After which a worker gives up on an answer."""

_OURS = ("STOPE_", "TEMPORAL_", "OPENAI_", "OLLAMA_", "CHAOS_")


class Place:
    """Everything that one run needs, made in a folder of its own and ended with it.

    Args:
        folder: is made.
        nursery: where processes come from.
        postgres: keeps the records; SQLite does without it.
    """

    def __init__(self, folder: Path, nursery: Nursery, postgres: Postgres | None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.postgres = postgres
        self.orders = Orders(folder / "orders")
        self.journal = Journal(folder / "journal.jsonl")
        self.llm = ScriptedLlm(latency=0.01, hang=LLM_SECONDS + 1)
        self.workers: list[Child] = []
        self.deaths: dict[int, float] = {}
        """When a worker was killed, by its number; as it said itself, or as it was sent."""
        self.frozen: dict[int, list[tuple[float, float]]] = {}
        """From when to when a worker was stopped."""
        self.server_deaths: list[float] = []
        self.server_away = False
        self._nursery = nursery
        self._log = folder / "worker.log"
        self.settings = Settings(
            home=folder / "home",
            database_url=postgres.new_database() if postgres else None,
            temporal_address=None,
            temporal_port=0,
            heartbeat_timeout=HEARTBEAT_SECONDS,
            llm="openai:scripted",
            openai_base_url=self.llm.base_url,
        )
        self.server = DevServer(self.settings)

    async def __aenter__(self) -> Self:
        self.llm.__enter__()
        await asyncio.to_thread(self.server.ensure)
        async with JobClient(self.settings):
            """Brings the records to the newest schema, before anybody needs them."""
        for _ in range(WORKERS):
            await self.add_worker()
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self.workers:
            child.send(signal.SIGKILL)
        for child in self.workers:
            await child.wait(60)
        await asyncio.to_thread(self.server.stop)
        self.llm.__exit__(None, None, None)

    def environment(self) -> dict[str, str]:
        """What processes of this run find in their environment."""
        settings = self.settings
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        database = {"STOPE_DATABASE_URL": settings.database_url} if settings.database_url else {}
        return (
            kept
            | database
            | {
                "STOPE_HOME": str(settings.home),
                "STOPE_LLM": settings.llm,
                "STOPE_LLM_TIMEOUT": str(LLM_SECONDS),
                "STOPE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
                "STOPE_LOG_LEVEL": "INFO",
                "OPENAI_BASE_URL": self.llm.base_url,
                JOURNAL: str(self.folder / "journal.jsonl"),
                ORDERS: str(self.folder / "orders"),
            }
        )

    async def add_worker(self) -> Child:
        """One more worker."""
        child = await self._nursery.fork("work", self.environment(), self._log)
        self.workers.append(child)
        return child

    async def submit(self, wanted: Mapping[str, Any], times: int) -> list[str]:
        """Ask for the same job from several processes at the same moment; the ids they got."""
        began = time.monotonic()
        answers = [self.folder / f"submitted-{began:.6f}-{number}" for number in range(times)]
        children = [
            await self._nursery.fork(
                "submit",
                self.environment()
                | {
                    "CHAOS_SUBMIT": json.dumps(
                        {
                            **wanted,
                            "at": began + 0.8,
                            "slots": SLOTS,
                            "answer": str(answer),
                        }
                    )
                },
                self.folder / "submit.log",
            )
            for answer in answers
        ]
        for child in children:
            if await child.wait(60) != 0:
                said = (self.folder / "submit.log").read_text()[-2000:]
                raise RuntimeError(f"a job could not be submitted:\n{said}")
        return [answer.read_text() for answer in answers]

    def kill_worker(self, child: Child) -> None:
        """SIGKILL a worker where it stands; ``tend`` puts another in its place."""
        self.deaths[child.pid] = time.monotonic()
        child.send(signal.SIGKILL)

    async def tend(self) -> None:
        """Put new workers in the place of those that ended, as whoever runs them would.

        While the server is away none is: a worker that finds no server ends.
        """
        if self.server_away:
            return
        for child in [child for child in self.workers if not child.alive]:
            self.workers.remove(child)
            await self.add_worker()

    def kill_server(self) -> None:
        """SIGKILL the Temporal server."""
        self.server_away = True
        self.server_deaths.append(time.monotonic())
        info = self.server.running()
        if info is None:
            raise RuntimeError("the Temporal server is not there to be killed")
        process = psutil.Process(info.pid)
        process.kill()
        # Until it is gone it may still answer, and would be taken for a running one.
        process.wait(timeout=30)

    def kill_postgres(self) -> None:
        """SIGKILL PostgreSQL, and start it again on the same files."""
        if self.postgres is None:
            raise RuntimeError("this run keeps its records elsewhere")
        self.postgres.kill()

    def start_server(self) -> None:
        """Start the Temporal server again, on the same file."""
        self.server.ensure()
        self.server_away = False

    def worker(self, pid: int) -> Child | None:
        """The living worker of that number."""
        return next((child for child in self.workers if child.pid == pid and child.alive), None)
