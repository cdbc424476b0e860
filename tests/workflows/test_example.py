"""The job layer's example does what it says, in a process of its own, against a running worker."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from temporalio.client import Client

from stope.dev_server import DevServer
from stope.models.job import JobStatus, JobType
from stope.settings import Settings
from tests.workflows.lab import open_lab

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_example_as_it_is() -> None:
    example = (ROOT / "examples" / "checkpoints.py").read_text()
    shown = example[example.index("import asyncio") :]
    assert f"```python\n{shown}```" in (ROOT / "README.md").read_text()


async def test_the_example_runs_as_it_stands(
    tmp_path: Path, temporal: Client, server: Settings
) -> None:
    running = DevServer(server).running()
    assert running is not None
    async with open_lab(tmp_path, temporal, server) as lab, lab.working():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "examples" / "checkpoints.py"),
            str(lab.text()),
            "ollama:qwen2.5:7b-instruct",
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "STOPE_HOME": str(lab.home),
                "TEMPORAL_ADDRESS": running.address,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        [job] = await lab.services.jobs.newest(5)
        runs = await lab.services.jobs.runs(job.id)
    assert out.decode().splitlines() == [
        "Job completed: succeeded",
        f"Result: {job.result and job.result['output_id']}",
        "Progress: 50%",
    ]
    assert (job.type, job.input.path) == (JobType.MINE, str(lab.home / "talk.txt"))
    assert [run.status for run in runs] == [JobStatus.SUCCEEDED, JobStatus.QUEUED]
    # The finished job answered the second time: its units were done once.
    assert lab.scripts[JobType.MINE].done == ["u0", "u1", "u2", "u3"]
