"""Object storage is taken away in mid-run and given back: the run waits, and repeats nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import Client

from stope.artifacts import ArtifactStore
from stope.models.job import JobStatus, JobType
from stope.models.knowledge import MinedClaims
from stope.settings import Settings
from tests.object_servers import open_place
from tests.waiting import until
from tests.workflows.lab import Lab, becomes, has_status, open_lab


async def _says(lab: Lab, job_id: str, words: str) -> bool:
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
