"""Workers of data preparation that die where they are told, each on a working folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from client import JobClient
from stope.artifacts import ArtifactStore
from stope.dev_server import DevServer
from stope.models.job import JobStatus
from stope.settings import Settings
from tests.waiting import until

ROOT = Path(__file__).parents[2]
CONFIG = {"detector": "face", "frames": 5, "by": "frame", "augment": 2}

_NAMED = re.compile(r'"(?:digest|digests|\$artifact)":\s*\[?"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Place:
    """Records, artifacts and a server that outlive the working folders of the workers.

    ``artifacts`` is a store's URL (default: a folder), ``environment`` that by which it is found.
    """

    folder: Path
    server: DevServer
    artifacts: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir()

    @property
    def settings(self) -> Settings:
        info = self.server.running()
        assert info is not None
        return Settings(
            home=self.folder / "client",
            database_url=f"sqlite:///{self.folder / 'records.db'}",
            artifacts_url=self.artifacts or (self.folder / "artifacts").as_uri(),
            temporal_address=info.address,
            heartbeat_timeout=2,
        )

    @property
    def journal(self) -> Path:
        return self.folder / "journal.tsv"

    def home(self, number: int) -> Path:
        """Of a worker."""
        return self.folder / f"worker{number}"

    @contextmanager
    def worker(self, number: int, death: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """A worker with a home of its own, until the end of the block or its death."""
        settings, home = self.settings, self.home(number)
        home.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOPE_", "TEMPORAL_"))
        }
        environment = {
            **kept,
            **self.environment,
            "STOPE_HOME": str(home),
            "STOPE_DATABASE_URL": str(settings.database_url),
            "STOPE_ARTIFACTS_URL": str(settings.artifacts_url),
            "TEMPORAL_ADDRESS": str(settings.temporal_address),
            "PYTHONPATH": str(ROOT),
            "JOURNAL": str(self.journal),
            "DIE": death,
        }
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.resume.dying_worker"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=home,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=60)

    async def dies(self, number: int, death: str) -> None:
        """Have a worker that works until its death."""
        with self.worker(number, death) as process:

            async def is_dead() -> bool:
                return process.poll() is not None

            await until(is_dead, f"the death {death}", 120)
            assert process.returncode == -signal.SIGKILL, (
                f"{death}: {(self.home(number) / 'log').read_text()[-2000:]}"
            )

    def notes(self) -> list[tuple[str, str]]:
        """What was committed, in order: stage, or ``step NAME``, and key."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [(line.split("\t")[0], line.split("\t")[1]) for line in lines]

    def lost(self) -> dict[str, list[str]]:
        """What deaths before a commit left behind: by key, the digests of what was stored."""
        lines = Path(f"{self.journal}.lost").read_text().splitlines()
        return {key: _NAMED.findall(rest) for key, _, rest in (x.partition("\t") for x in lines)}

    def store(self) -> ArtifactStore:
        """The artifacts, looked at past any records."""
        return ArtifactStore(str(self.settings.artifacts_url))


async def finished(client: JobClient, job_id: str) -> None:
    """Wait for a whole success."""

    async def is_done() -> bool:
        status = (await client.job(job_id)).status
        assert status not in (JobStatus.FAILED, JobStatus.SUCCEEDED_WITH_GAPS)
        return status is JobStatus.SUCCEEDED

    await until(is_done, f"the end of {job_id}", 240)
