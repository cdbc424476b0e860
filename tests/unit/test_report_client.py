"""A finished job is exported with what its stages took, also when another pipeline did a stage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from client import JobClient
from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.identity import digest_file
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    JsonObject,
    job_id_of,
)
from stope.models.knowledge import MinedClaims
from stope.recipes import recipe_of
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.report.exports import FORMATS
from stope.settings import Settings
from tests.interview import RECORDING, interview_document

CONFIG = JobConfig(miner_model="fake:m", flagship_model="fake:f")


class Home:
    """Records and artifacts as finished runs leave them."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder)
        self._database = Database(self.settings.records_url)
        self.jobs = JobRecords(self._database)

    async def finish(
        self, kind: JobType, source: JobInput, parts: JsonObject, metrics: JsonObject
    ) -> str:
        """A job with its one run and its result."""
        await self._database.migrate()
        job = await self.jobs.create(
            Job(
                id=job_id_of(kind, source.identity, CONFIG, recipe_of(kind)),
                type=kind,
                input=source,
                config=CONFIG,
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        await self.jobs.begin_run(job.id, f"run of {job.id}", job.id)
        result: JsonObject = {"status": "succeeded", "output_id": "x", "result": parts}
        await self.jobs.finish_run(
            f"run of {job.id}", JobStatus.SUCCEEDED, result=result, metrics=metrics
        )
        return job.id

    async def close(self) -> None:
        """Let go of the records."""
        await self._database.close()


async def finished_pipeline(folder: Path, recording: Path) -> tuple[Settings, str]:
    """A pipeline over the interview, whose stages nobody started under it."""
    home = Home(folder)
    artifacts = ArtifactStore(home.settings.artifact_store_url)
    document = interview_document()
    assert document.transcript is not None
    assert document.knowledge is not None
    heard = await artifacts.put_model(document.transcript)
    mined = await artifacts.put_model(
        MinedClaims(transcript_digest=heard, model="fake:m", segments=1, claims=())
    )
    judged = await artifacts.put_model(document.knowledge)
    source = JobInput(kind=InputKind.RECORDING, digest=digest_file(RECORDING), path=str(recording))
    transcript = JobInput(kind=InputKind.TRANSCRIPT, digest=heard, path="")
    claims = JobInput(kind=InputKind.CLAIMS, digest=mined, path="")
    parts: JsonObject = {
        "transcript_digest": heard,
        "claims_digest": mined,
        "knowledge_digest": judged,
    }
    await home.finish(JobType.TRANSCRIBE, source, {}, {"wall_seconds": 1.5})
    await home.finish(JobType.MINE, transcript, {}, {"wall_seconds": 2.5, "llm_calls": 7})
    await home.finish(JobType.FLAGSHIP, claims, {}, {"wall_seconds": 3.5, "llm_calls": 4})
    pipeline = await home.finish(JobType.PIPELINE, source, parts, {})
    await home.close()
    return home.settings, pipeline


async def test_a_pipelines_document_says_what_each_stage_took(tmp_path: Path) -> None:
    settings, job_id = await finished_pipeline(tmp_path, RECORDING)
    async with JobClient(settings) as client:
        facts = (await client.document(job_id)).facts
    assert facts is not None
    assert [(stage.stage, stage.wall_seconds, stage.llm_calls) for stage in facts.stages] == [
        ("transcribe", 1.5, None),
        ("mine", 2.5, 7),
        ("flagship", 3.5, 4),
    ]


async def test_an_export_writes_all_that_fits_and_embeds_a_small_recording(tmp_path: Path) -> None:
    settings, job_id = await finished_pipeline(tmp_path / "home", RECORDING)
    async with JobClient(settings) as client:
        written = await client.export(job_id, tmp_path / "out")
        assert [path.name for path in written] == [item.file_name for item in FORMATS.values()]
        assert 'src="data:audio/ogg;base64,T2dnUw' in written[0].read_text(encoding="utf-8")
        (page,) = await client.export(job_id, tmp_path / "out", ["html"], embed_audio=False)
        assert f'src="{RECORDING.as_uri()}"' in page.read_text(encoding="utf-8")


async def test_a_recording_that_is_gone_is_no_reason_to_have_no_report(tmp_path: Path) -> None:
    gone = tmp_path / "gone.opus"
    settings, job_id = await finished_pipeline(tmp_path / "home", gone)
    async with JobClient(settings) as client:
        (page,) = await client.export(job_id, tmp_path / "out", ["html"])
        assert f'src="{gone.as_uri()}"' in page.read_text(encoding="utf-8")
        with pytest.raises(InputError, match=r"gone\.opus cannot be read to embed it"):
            await client.export(job_id, tmp_path / "out", ["html"], embed_audio=True)
