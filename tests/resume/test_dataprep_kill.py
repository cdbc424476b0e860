"""Data preparation, really killed after every step and inside the loops over frames and crops.

Each time a new process with an empty memory goes on, in another working folder. Nothing that was
committed is done again, and the data set is the one of a run that was left alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from client import JobClient
from stope.artifacts import ArtifactStore
from stope.dev_server import DevServer
from stope.identity import digest_file
from stope.models.dataprep import Frames
from stope.models.job import JobStatus
from stope.settings import Settings
from stope.steps.cache import ContextCache
from stope.steps.identity import checkpoint_path, run_guid_of
from stope.steps.store import ValueStore
from stope.vision.pipeline import PIPELINE
from tests.videos import football
from tests.waiting import until

ROOT = Path(__file__).parents[2]
CONFIG = {"detector": "face", "frames": 5, "by": "frame", "augment": 2}

STEPS = [step.name for step in PIPELINE.steps]
BEFORE = {
    "extract_frames": "extract_frames 2",
    "calculate_background_mask": "calculate_backgr 7",
    "detect_subjects": "detect_subjects 2",
    "augment_crops": "augment_crops 2",
}
"""Units in the middle of these steps; the seventh of the background is a mask."""

DEATHS = [death for step in STEPS for death in (BEFORE.get(step), f"step {step}") if death]


@dataclass(frozen=True)
class Place:
    """Records and artifacts that outlive the folders of the workers."""

    folder: Path
    server: DevServer

    @property
    def settings(self) -> Settings:
        info = self.server.running()
        assert info is not None
        return Settings(
            home=self.folder / "client",
            database_url=f"sqlite:///{self.folder / 'records.db'}",
            artifacts_url=(self.folder / "artifacts").as_uri(),
            temporal_address=info.address,
            heartbeat_timeout=2,
        )

    @property
    def journal(self) -> Path:
        return self.folder / "journal.tsv"

    @contextmanager
    def worker(self, number: int, die_after: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """A worker with a home and a working folder of its own."""
        settings, home = self.settings, self.folder / f"worker{number}"
        home.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOPE_", "TEMPORAL_"))
        }
        environment = kept | {
            "STOPE_HOME": str(home),
            "STOPE_DATABASE_URL": str(settings.database_url),
            "STOPE_ARTIFACTS_URL": str(settings.artifacts_url),
            "TEMPORAL_ADDRESS": str(settings.temporal_address),
            "PYTHONPATH": str(ROOT),
            "JOURNAL": str(self.journal),
            "DIE_AFTER": die_after,
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

    def notes(self) -> list[list[str]]:
        return [line.split("\t") for line in self.journal.read_text().splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevServer]:
    server = DevServer(Settings(home=tmp_path / "server", temporal_port=0, temporal_address=None))
    server.ensure()
    yield server
    server.stop()


def place(tmp_path: Path, name: str, server: DevServer) -> Place:
    (tmp_path / name).mkdir()
    return Place(tmp_path / name, server)


async def finished(client: JobClient, job_id: str) -> None:
    async def is_done() -> bool:
        status = (await client.job(job_id)).status
        assert status not in (JobStatus.FAILED, JobStatus.SUCCEEDED_WITH_GAPS)
        return status is JobStatus.SUCCEEDED

    await until(is_done, f"the end of {job_id}", 240)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_at_every_step_and_in_the_loops_it_makes_the_same_data_set(
    tmp_path: Path, server: DevServer
) -> None:
    video = football(tmp_path / "match.mp4")
    before = (digest_file(video), video.stat().st_mtime_ns, video.stat().st_ino)

    alone = place(tmp_path, "alone", server)
    async with JobClient(alone.settings) as client:
        # Its own id: on one server two runs of the same job would be one workflow.
        job_id = await client.create_dataprep([video], CONFIG, run_guid="alone")
        await client.start_job(job_id)
        with alone.worker(0):
            await finished(client, job_id)
        wanted = await client.dataset(job_id)

    killed = place(tmp_path, "killed", server)
    async with JobClient(killed.settings) as client:
        job_id = await client.create_dataprep([video], CONFIG, keep_checkpoint=True)
        await client.start_job(job_id)
        for number, death in enumerate(DEATHS):
            with killed.worker(number, death) as process:

                async def is_dead(process: subprocess.Popen[bytes] = process) -> bool:
                    return process.poll() is not None

                await until(is_dead, f"the death after {death}")
                assert process.returncode == -signal.SIGKILL, death
        with killed.worker(len(DEATHS)):
            await finished(client, job_id)
        found = await client.dataset(job_id)
        job = await client.job(job_id)

    assert [image.digest for image in found.images] == [image.digest for image in wanted.images]
    assert found == wanted
    assert len(found.images) > 5
    times = Counter(key for _, key in killed.notes())
    assert set(times.values()) == {1}, "nothing that was committed was done again"
    assert [name for name, _ in killed.notes() if name.startswith("step ")] == [
        f"step {name}" for name in STEPS
    ]

    artifacts = ArtifactStore(str(killed.settings.artifacts_url))
    assert await artifacts.read_named(checkpoint_path(run_guid_of(job))) is not None
    values = ValueStore(artifacts, ContextCache())
    async with JobClient(killed.settings) as client:
        checkpoint = await client.checkpoint(job_id)
    assert checkpoint is not None
    context = checkpoint["context"]
    assert isinstance(context, dict)
    frames = (await values.value("frames", context["frames"], Frames)).frames
    pixels = await values.load(frames[0].digest, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((270, 480, 3), np.uint8)
    assert (digest_file(video), video.stat().st_mtime_ns, video.stat().st_ino) == before
