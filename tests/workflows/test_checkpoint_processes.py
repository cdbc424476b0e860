"""Of two processes that write a run's checkpoint, the one that was taken for dead changes nothing.

Its write was on its way when the other began, and arrives when that one has written or cleaned up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client

from stope.models.job import Job, JobRun, JobStatus
from stope.models.steps import StepCheckpoint
from stope.settings import Settings
from stope.steps.checkpoint import CheckpointFile, checkpoint_of, delete_file, parse
from stope.steps.identity import checkpoint_path, run_guid_of
from tests.contract.test_named_writes import Process
from tests.object_servers import open_place
from tests.workflows.scripted_steps import PIPELINE, StepsLab, open_steps_lab


@dataclass
class Two:
    """Two processes with one run between them."""

    lab: StepsLab
    url: str
    job: Job
    run: JobRun

    async def file(self, process: Process) -> CheckpointFile:
        """The checkpoint as a process that takes the run over now writes it."""
        jobs = self.lab.services.jobs
        return CheckpointFile(process.store, jobs, await jobs.get_run(self.run.run_id))

    def saying(self, notice: str) -> StepCheckpoint:
        return checkpoint_of(self.job, self.run, PIPELINE.definition, {}, keys={}, notices=[notice])

    async def sent(self, process: Process, notice: str) -> asyncio.Task[None]:
        """A write that was sent, and has not arrived."""
        process.sends.clear()
        process.is_sending.clear()
        writing = asyncio.create_task((await self.file(process)).write(self.saying(notice)))
        assert await asyncio.to_thread(process.is_sending.wait, 60)
        return writing

    async def found(self) -> tuple[str, ...] | None:
        """What the file says, as a third process reads it; None where there is none."""
        store = Process(self.url).store
        body = await store.read_named(checkpoint_path(run_guid_of(self.job)))
        checkpoint = None if body is None else parse(body)
        return None if checkpoint is None else checkpoint.stope.notices


@pytest.fixture(params=["folder", "s3", "gs"])
async def two(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    temporal: Client,
    server: Settings,
) -> AsyncIterator[Two]:
    place = open_place(request.param, request, monkeypatch, tmp_path)
    async with open_steps_lab(tmp_path / "home", temporal, server) as lab:
        async with lab.client() as client:
            job = await client.job(await client.create_pipeline("scripted", [lab.file()]))
            run_id = await client.create_job_run(job.id)
        await lab.services.jobs.begin_run(job.id, run_id, job.id)
        yield Two(lab, place.url, job, await lab.services.jobs.get_run(run_id))


@pytest.mark.parametrize("is_first", [True, False])
async def test_an_older_checkpoint_that_arrives_late_replaces_no_newer_one(
    two: Two, is_first: bool
) -> None:
    older, newer = Process(two.url), Process(two.url)
    if not is_first:
        await (await two.file(older)).write(two.saying("first"))
    late = await two.sent(older, "late")
    await (await two.file(newer)).write(two.saying("newer"))
    older.sends.set()
    await late
    assert await two.found() == ("newer",)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other_writes", [True, False])
async def test_a_checkpoint_that_arrives_after_the_clean_up_is_not_there(
    two: Two, is_first: bool, other_writes: bool
) -> None:
    older, newer = Process(two.url), Process(two.url)
    if not is_first:
        await (await two.file(older)).write(two.saying("first"))
    late = await two.sent(older, "late")
    if other_writes:
        await (await two.file(newer)).write(two.saying("newer"))
    jobs = two.lab.services.jobs
    assert await jobs.finish_run(
        two.run.run_id, JobStatus.SUCCEEDED, result={"status": "succeeded"}
    )
    await delete_file(newer.store, run_guid_of(two.job))
    older.sends.set()
    await late
    assert await two.found() is None
