"""Workers of the example pipeline that can be killed, each on a working folder of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import func, select

from stope.dev_server import DevServer
from stope.records.database import Database
from stope.records.schema import unit
from stope.settings import Settings
from tests.gated_letters import FOLDER
from tests.resume.lab import HEARTBEAT_SECONDS, ROOT

BLOCKS = 3
CONFIG = {"block": 1000, "height": 9}

LINES = (
    *("read", "read.end", "count"),
    *(f"block_{number:04d}" for number in range(BLOCKS)),
    *("count.end", "draw", "draw.end"),
)
"""What is begun, in this order; a worker can be killed at each."""


class Machines:
    """Workers that share records, artifacts and a Temporal server, and no folder.

    Args:
        folder: for all of it.
        artifacts: URL of the store; default: a folder.
        environment: by which the store is found.
    """

    def __init__(
        self,
        folder: Path,
        artifacts: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.input = folder / "talk.txt"
        self.input.write_text("The quick brown fox jumps over the lazy dog. " * 60)
        shared = folder / "shared"
        shared.mkdir()
        self.server = DevServer(Settings(home=shared, temporal_port=0, temporal_address=None))
        info = self.server.ensure()
        self._shared = dict(environment or {}) | {
            "STOPE_DATABASE_URL": f"sqlite:///{shared / 'records.db'}",
            "STOPE_ARTIFACTS_URL": artifacts or (shared / "artifacts").as_uri(),
            "STOPE_PIPELINES": "tests.gated_letters",
            "STOPE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
            "TEMPORAL_ADDRESS": info.address,
        }
        self.worker: subprocess.Popen[bytes] | None = None
        self._started = 0

    def settings(self) -> Settings:
        return Settings(
            home=self._folder / "client",
            database_url=self._shared["STOPE_DATABASE_URL"],
            artifacts_url=self._shared["STOPE_ARTIFACTS_URL"],
            pipelines=self._shared["STOPE_PIPELINES"],
            heartbeat_timeout=HEARTBEAT_SECONDS,
            temporal_address=self._shared["TEMPORAL_ADDRESS"],
        )

    def start_worker(self) -> None:
        self._started += 1
        home = self._folder / f"machine-{self._started}"
        home.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOPE_", "TEMPORAL_", "OPENAI_"))
        }
        with (home / "worker.log").open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py"), "orchestration", "vision"],
                env=kept | self._shared | {"STOPE_HOME": str(home), FOLDER: str(self.gates)},
                stdout=log,
                stderr=log,
                cwd=home,
            )

    def kill_worker(self) -> None:
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait(timeout=60)

    def journal(self) -> list[tuple[str, str]]:
        """What was begun, in order, and by which process."""
        path = self.gates / "journal"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[0], line.split()[1]) for line in lines]

    def open_until(self, line: str) -> None:
        """Let everything before a line pass, and nothing more; the journal is new."""
        for path in self.gates.iterdir():
            path.unlink()
        for earlier in LINES[: LINES.index(line)]:
            (self.gates / earlier).touch()

    def open_all(self) -> None:
        (self.gates / "open").touch()

    def fact(self) -> tuple[str, int, str]:
        """The input's digest, time and place."""
        found = self.input.stat()
        return (
            hashlib.sha256(self.input.read_bytes()).hexdigest(),
            found.st_mtime_ns,
            str(self.input.resolve(strict=True)),
        )

    async def committed(self) -> int:
        """Blocks that are in the store, of all runs."""
        database = Database(self._shared["STOPE_DATABASE_URL"])
        try:
            async with database.reading() as connection:
                query = select(func.count()).select_from(unit).where(unit.c.stage == "count")
                return int(await connection.scalar(query) or 0)
        finally:
            await database.close()

    def close(self) -> None:
        self.open_all()
        if self.worker is not None and self.worker.poll() is None:
            self.kill_worker()
        self.server.stop()
