"""Object storage is taken away in mid-run and given back: the run waits, and repeats nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.services import open_services
from stope.artifacts import ArtifactStore
from stope.models.job import JobStatus, JobType
from stope.models.knowledge import MinedClaims
from stope.settings import Settings
from tests.object_servers import ObjectPlace, noise, open_place, remote
from tests.waiting import until
from tests.workflows.lab import Lab, becomes, has_status, open_lab
from tests.workflows.scripted_steps import StepsLab

__all__ = ["remote"]

LETTERS = "letters"
CONFIG = {"block": 1_000_000, "height": 9}


async def _says(lab: Lab | StepsLab, job_id: str, words: str) -> bool:
    """Whether Temporal shows such a failure of the activity that it will try again."""
    described = await lab.temporal.get_workflow_handle(job_id).describe()
    pending = described.raw_description.pending_activities
    return any(words in activity.last_failure.message for activity in pending)


@pytest.mark.parametrize("kind", ["s3", "gs"])
async def test_a_run_waits_for_its_storage_and_completes_when_it_is_back(
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    temporal: Client,
    server: Settings,
) -> None:
    place = open_place(kind, request, monkeypatch, tmp_path)
    assert place.door is not None
    monkeypatch.setenv("STOPE_ARTIFACTS_URL", place.url)
    async with (
        open_lab(tmp_path, temporal, server) as lab,
        lab.client() as client,
        lab.working(),
    ):
        script = lab.scripts[JobType.MINE]
        held = script.hold("u3")
        job_id = await client.create_job("mine", lab.text(), {"miner_model": "openai:scripted"})
        await client.start_job(job_id)
        await until(lambda: script.begun("u3"), "the last unit", 30)
        place.door.close()
        held.set()
        await until(lambda: _says(lab, job_id, "cannot be reached"), "a failed attempt", 60)
        assert await has_status(client, job_id, JobStatus.RUNNING)
        place.door.open()
        await becomes(client, job_id, JobStatus.SUCCEEDED)
        assert script.done == ["u0", "u1", "u2", "u3"]
        parts = (await client.result(job_id))["result"]
        assert isinstance(parts, dict)
        mined = await ArtifactStore(place.url).get_model(str(parts["claims_digest"]), MinedClaims)
        assert mined.segments == len(script.done)
        await lab.replays(job_id)


@asynccontextmanager
async def letters_lab(
    home: Path, temporal: Client, server: Settings, artifacts_url: str
) -> AsyncIterator[StepsLab]:
    """A lab for the pipeline of the worked example."""
    settings = Settings(
        home=home,
        temporal_address=None,
        temporal_port=server.temporal_port,
        pipelines="examples.step_pipeline",
        artifacts_url=artifacts_url,
    )
    services = await open_services(settings)
    try:
        yield StepsLab(temporal, services)
    finally:
        await services.close()


async def test_a_run_that_opens_waits_for_its_storage(
    remote: ObjectPlace, tmp_path: Path, temporal: Client, server: Settings
) -> None:
    assert remote.door is not None
    (tmp_path / "a.txt").write_bytes(noise(100))
    async with (
        letters_lab(tmp_path, temporal, server, remote.url) as lab,
        lab.working(),
        lab.client() as client,
    ):
        job_id = await client.create_pipeline(LETTERS, [tmp_path / "a.txt"], CONFIG)
        remote.door.close()
        await client.start_job(job_id)
        await until(lambda: _says(lab, job_id, "cannot be reached"), "a failed attempt", 60)
        assert await has_status(client, job_id, JobStatus.RUNNING)
        assert (await client.runs(job_id))[0].checkpoint is None
        remote.door.open()
        await becomes(client, job_id, JobStatus.SUCCEEDED)
        assert len(await client.runs(job_id)) == 1
        await lab.replays(job_id)


async def test_a_run_waits_where_bodies_break_off_midway(
    remote: ObjectPlace, tmp_path: Path, temporal: Client, server: Settings
) -> None:
    assert remote.door is not None
    assert remote.server is not None
    text = noise(3_000_000)
    remote.server.overwrite(remote.bucket, "a.txt", text)
    async with (
        letters_lab(tmp_path, temporal, server, remote.url) as lab,
        lab.working(),
        lab.client() as client,
    ):
        location = f"{remote.kind}://{remote.bucket}/a.txt"
        job_id = await client.create_pipeline(LETTERS, [location], CONFIG)
        remote.door.cuts = 1_000_000
        await client.start_job(job_id)
        await until(lambda: _says(lab, job_id, "cannot be reached"), "a failed attempt", 90)
        assert await has_status(client, job_id, JobStatus.RUNNING)
        remote.door.cuts = 0
        await becomes(client, job_id, JobStatus.SUCCEEDED)
        result = (await client.result(job_id))["result"]
        assert isinstance(result, dict)
        letters = [text.count(bytes([at])) + text.count(bytes([at - 32])) for at in range(97, 123)]
        assert result["totals"] == letters


async def test_a_run_waits_for_a_folder_that_is_gone_when_its_worker_starts(
    tmp_path: Path, temporal: Client, server: Settings
) -> None:
    (tmp_path / "a.txt").write_bytes(noise(100))
    disk, away, home = tmp_path / "disk", tmp_path / "away", tmp_path / "home"
    url = (disk / "stope").as_uri()
    async with letters_lab(home, temporal, server, url) as lab:
        kept = await lab.services.artifacts.put(b"of an earlier run")
    disk.rename(away)
    disk.mkdir()
    async with (
        letters_lab(home, temporal, server, url) as lab,
        lab.working(),
        lab.client() as client,
    ):
        job_id = await client.create_pipeline(LETTERS, [tmp_path / "a.txt"], CONFIG)
        await client.start_job(job_id)
        await until(lambda: _says(lab, job_id, "Mount it again"), "a failed attempt", 60)
        assert await has_status(client, job_id, JobStatus.RUNNING)
        assert list(disk.iterdir()) == []
        disk.rmdir()
        away.rename(disk)
        await becomes(client, job_id, JobStatus.SUCCEEDED)
        assert await lab.services.artifacts.get(kept) == b"of an earlier run"
        await lab.replays(job_id)
