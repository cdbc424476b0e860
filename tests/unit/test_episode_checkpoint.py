"""An episode's checkpoint is that of any pipeline, and is used only for what it was written for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.creation import JobCreation
from stope import recipes
from stope.artifacts import ArtifactStore
from stope.errors import ResumeError, UsageError
from stope.following import stage_job_id
from stope.identity import digest_of
from stope.models import route
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
    JsonObject,
    job_id_of,
)
from stope.models.knowledge import MinedClaims
from stope.models.route import episode_of, handed_to
from stope.models.steps import EpisodeCheckpoint, StepRecord, StepStatus
from stope.recipes import recipe_of
from stope.settings import Settings
from stope.steps import episode
from stope.steps.cache import ContextCache
from stope.steps.checkpoint import parsed
from stope.steps.episode import Kept, episode_checkpoint, kept_of, records_in, stage_record
from stope.steps.identity import checkpoint_path, config_hash, input_hash, run_guid_of
from stope.steps.store import ValueStore
from tests.builders import transcript_of

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def job(path: str = "talk.opus", kind: InputKind = InputKind.RECORDING, **config: Any) -> Job:
    source = JobInput(kind=kind, digest="ab" * 32, path=path)
    wanted = JobConfig.model_validate({"miner_model": "m", "flagship_model": "f"} | config)
    recipe = recipe_of(JobType.PIPELINE)
    return Job(
        id=job_id_of(JobType.PIPELINE, source.identity, wanted, recipe),
        type=JobType.PIPELINE,
        input=source,
        config=wanted,
        status=JobStatus.RUNNING,
        created_at=BEGAN,
    )


def run(run_id: str, pipeline_run_id: str | None = None) -> JobRun:
    return JobRun(
        run_id=run_id,
        job_id="some",
        attempt=2,
        workflow_id="some",
        pipeline_run_id=pipeline_run_id,
        status=JobStatus.SUCCEEDED,
        metrics={"units_done": 7},
        created_at=BEGAN,
        finished_at=BEGAN + timedelta(seconds=2.5),
    )


class Folder:
    """The artifacts of a run that finished its first two stages, and their checkpoint."""

    def __init__(self, url: str) -> None:
        self.artifacts = ArtifactStore(url)
        self.values = ValueStore(self.artifacts, ContextCache())
        self.results: dict[str, JsonObject] = {}
        self.records: dict[str, StepRecord] = {}

    async def fill(self, of: Job) -> EpisodeCheckpoint:
        transcript = await self.artifacts.put_model(transcript_of("The river rose."))
        claims = await self.artifacts.put_model(
            MinedClaims(transcript_digest=transcript, model="m", segments=1, claims=())
        )
        source: JobInput | None = of.input
        parts: JsonObject = {"transcript_digest": transcript}
        for stage in (JobType.TRANSCRIBE, JobType.MINE):
            if stage is JobType.MINE:
                source = handed_to(stage, parts, self.artifacts.uri)
                parts = {"claims_digest": claims}
            assert source is not None
            result: JsonObject = {"status": "succeeded", "output_id": stage.value, "result": parts}
            record = stage_record(
                episode_of(of).step(stage.value),
                stage_job_id(stage, source, of.config),
                result,
                run(f"of {stage.value}", "first"),
            )
            assert record is not None
            self.results[stage.value], self.records[stage.value] = result, record
        found = episode_checkpoint(of, run("first"), self.records, self.results)
        await self.write(of, found.model_dump(mode="json"))
        return found

    async def write(self, of: Job, body: JsonObject) -> None:
        path = checkpoint_path(run_guid_of(of))
        await self.artifacts.write_named(path, json.dumps(body).encode())

    async def delete(self, stage: str, name: str) -> None:
        parts = self.results[stage]["result"]
        assert isinstance(parts, dict)
        self.artifacts.delete([str(parts[name])])

    async def kept(self, of: Job, *, strict: bool = False) -> Kept:
        # As another process: what this one stored is not in memory.
        values = ValueStore(self.artifacts, ContextCache())
        return await kept_of(of, self.artifacts, values, strict=strict)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path.as_uri())


async def test_it_has_the_fields_of_both_its_kinds_and_ours_under_stope_only(
    folder: Folder,
) -> None:
    body = (await folder.fill(job())).model_dump(mode="json")
    assert set(body) == {
        *("completed_stages", "results"),
        *("pipeline_name", "run_guid", "completed_steps", "context", "steps_summary"),
        *("checkpoint_version", "stope"),
    }
    assert body["pipeline_name"] == "pipeline"
    assert body["completed_stages"] == body["completed_steps"] == ["transcribe", "mine"]
    assert body["results"] == folder.results
    assert set(body["context"]) == {"transcript", "claims"}
    assert body["steps_summary"]["transcribe"] == {
        "status": "completed",
        "started_at": "2030-01-01T00:00:00.000+00:00",
        "finished_at": "2030-01-01T00:00:02.500+00:00",
        "duration": 2.5,
        "attempt": 2,
        "error": None,
        "metadata": {"output_id": "transcribe", "units_done": 7},
    }
    assert body["steps_summary"]["flagship"]["status"] == "not_started"
    assert body["stope"]["keys"]["mine"].startswith("mine-")


async def test_its_records_come_back_from_it_and_those_of_before_stay_so(folder: Folder) -> None:
    of = job()
    found = parsed((await folder.fill(of)).model_dump_json().encode(), EpisodeCheckpoint)
    assert found is not None
    assert records_in(found, episode_of(of)) == folder.records
    # The next run keeps them; what it writes says so, however often it is read back.
    for _ in range(2):
        records = records_in(found, episode_of(of))
        found = episode_checkpoint(of, run("second"), records, folder.results)
        summary = found.steps_summary["mine"]
        assert (summary.status, summary.duration, summary.attempt) == (StepStatus.SKIPPED, 2.5, 2)


async def test_a_result_that_does_not_name_what_its_stage_gives_is_no_finished_step() -> None:
    result: JsonObject = {"status": "succeeded", "output_id": "x", "result": {"n": 1}}
    assert stage_record(episode_of(job()).step("mine"), "mine-1", result, run("one")) is None


async def test_what_fits_is_kept_and_another_machine_needs_the_folder_only(folder: Folder) -> None:
    of = job()
    assert await folder.kept(of) == Kept()
    await folder.fill(of)
    kept = await folder.kept(of, strict=True)
    assert list(kept.records) == ["transcribe", "mine"]
    assert kept.results == folder.results
    assert kept.notices == ()


async def test_nothing_from_before_is_asked_for_by_who_makes_it_afresh(folder: Folder) -> None:
    of = job()
    await folder.fill(of)
    afresh = of.model_copy(update={"namespace": "n"})
    assert await folder.kept(afresh, strict=True) == Kept()
    options = of.options.model_copy(update={"redo_from": JobType.MINE, "redo_namespace": "n"})
    redone = await folder.kept(of.model_copy(update={"options": options}), strict=True)
    assert list(redone.results) == ["transcribe"]


def _named(of: Job, **config: Any) -> Job:
    """A job with another config, in the same folder."""
    return job(of.input.path, of.input.kind, run_guid=run_guid_of(of), **config)


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (_named(job(), upload_to="file:///there"), "there are transcribe, mine, flagship, upload"),
        (_named(job(), miner_model="other"), "of another config"),
        (
            _named(job()).model_copy(
                update={"input": job().input.model_copy(update={"digest": "cd" * 32})}
            ),
            "of another input",
        ),
    ],
    ids=["steps", "config", "input"],
)
async def test_a_mismatch_is_explained_and_starts_fresh_or_fails(
    folder: Folder, of: Job, sentence: str
) -> None:
    await folder.fill(job())
    kept = await folder.kept(of)
    assert (kept.records, kept.results) == ({}, {})
    [notice] = kept.notices
    assert sentence in notice
    assert "starts afresh" in notice
    with pytest.raises(ResumeError, match="--no-strict-resume"):
        await folder.kept(of, strict=True)


async def test_another_version_of_the_episode_fits_no_earlier_checkpoint(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = job()
    await folder.fill(before)
    newer = route.EPISODE.model_copy(update={"version": 2})
    monkeypatch.setattr(route, "EPISODE", newer)
    monkeypatch.setattr(recipes, "EPISODE", newer)
    after = job()
    # Another job, whose result is not the old one's, in the same folder.
    assert after.id != before.id
    assert run_guid_of(after) == run_guid_of(before)
    [notice] = (await folder.kept(after)).notices
    assert "of version 1 of the pipeline, which is 2 now" in notice
    with pytest.raises(ResumeError, match="which is 2 now"):
        await folder.kept(after, strict=True)


@pytest.mark.parametrize("data", ["{", '{"pipeline_name": "pipeline"}', '{"completed_stages": 3}'])
async def test_what_is_no_checkpoint_is_told(folder: Folder, data: str) -> None:
    of = job()
    await folder.artifacts.write_named(checkpoint_path(run_guid_of(of)), data.encode())
    [notice] = (await folder.kept(of)).notices
    assert "none that this version can read" in notice


@pytest.mark.parametrize(
    ("stage", "name", "sentence"),
    [
        ("transcribe", "transcript_digest", "transcript of the step transcribe"),
        ("mine", "claims_digest", "claims of the step mine"),
    ],
)
async def test_what_names_an_artifact_that_is_gone_is_not_used_nor_what_follows(
    folder: Folder, stage: str, name: str, sentence: str
) -> None:
    of = job()
    await folder.fill(of)
    await folder.delete(stage, name)
    kept = await folder.kept(of)
    before = [] if stage == "transcribe" else ["transcribe"]
    assert list(kept.records) == list(kept.results) == before
    assert sentence in kept.notices[0]
    with pytest.raises(ResumeError, match=sentence):
        await folder.kept(of, strict=True)


async def test_what_a_result_names_beside_what_it_hands_on_must_be_there_too(
    folder: Folder,
) -> None:
    of = job()
    found = await folder.fill(of)
    parts = found.results["mine"]["result"]
    assert isinstance(parts, dict)
    parts["report_digest"] = digest_of("never stored")
    await folder.write(of, found.model_dump(mode="json"))
    [notice] = (await folder.kept(of)).notices
    assert "what the step mine names" in notice
    assert digest_of("never stored") in notice


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "failed"}, "is no result"),
        ({"status": "unheard of"}, "is no result"),
        ({"output_id": None}, "is no result"),
        ({"result": {"claims_digest": digest_of("others")}}, "names other things"),
        ({"result": {}}, "names other things"),
    ],
)
async def test_a_result_that_is_none_or_not_the_steps_own_is_not_taken_over(
    folder: Folder, changes: JsonObject, sentence: str
) -> None:
    of = job()
    found = await folder.fill(of)
    found.results["mine"] |= changes
    await folder.write(of, found.model_dump(mode="json"))
    kept = await folder.kept(of)
    assert list(kept.results) == ["transcribe"]
    assert sentence in kept.notices[0]
    with pytest.raises(ResumeError, match=sentence):
        await folder.kept(of, strict=True)


async def test_the_same_bytes_read_in_another_way_are_another_input(folder: Folder) -> None:
    as_text = job("a.txt", InputKind.TEXT, run_guid="nightly")
    as_subtitles = job("a.srt", InputKind.TEXT, run_guid="nightly")
    assert input_hash(as_text) != input_hash(as_subtitles)
    checkpoint = episode_checkpoint(as_text, run("first"), {}, {})
    await folder.write(as_text, checkpoint.model_dump(mode="json"))
    assert (await folder.kept(as_text)).notices == ()
    [notice] = (await folder.kept(as_subtitles)).notices
    assert "of another input" in notice


async def test_a_stage_that_is_made_in_another_way_now_is_kept_no_more_nor_what_follows(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = job()
    await folder.fill(of)
    monkeypatch.setattr(
        episode,
        "stage_job_id",
        lambda stage, source, config: (
            "mine-other" if stage is JobType.MINE else stage_job_id(stage, source, config)
        ),
    )
    kept = await folder.kept(of)
    assert list(kept.results) == ["transcribe"]
    assert "up to the step mine" in kept.notices[0]
    with pytest.raises(ResumeError, match="prompts or schemas"):
        await folder.kept(of, strict=True)


def test_a_run_is_found_by_input_and_config_and_a_given_id_is_another_job() -> None:
    assert run_guid_of(job()) == run_guid_of(job())
    others = [job(miner_model="other"), job(kind=InputKind.TEXT, path="a.txt")]
    others.append(job(kind=InputKind.TEXT, path="a.srt"))
    assert len({run_guid_of(one) for one in [job(), *others]}) == 4
    given = job(run_guid="nightly-7")
    assert run_guid_of(given) == "nightly-7"
    assert given.id != job().id
    assert config_hash(given) == config_hash(job())


def test_no_stage_is_another_job_because_of_its_pipelines_run() -> None:
    for stage in route.STAGES:
        assert job(run_guid="nightly-7").config.for_type(stage) == job().config.for_type(stage)


async def test_only_a_pipeline_has_a_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("The river rose in 1910.")
    client = JobCreation(Settings(home=tmp_path, temporal_address=None, llm="openai:scripted"))
    try:
        given = await client.create_job("pipeline", path, run_guid="nightly-7")
        assert given != await client.create_job("pipeline", path)
        assert given == await client.create_job("pipeline", path, {"run_guid": "nightly-7"})
        kept = await client.create_job("pipeline", path, keep_checkpoint=True, strict_resume=True)
        options = (await client.job(kept)).options
        assert (options.keep_checkpoint, options.strict_resume) == (True, True)
        with pytest.raises(UsageError, match="cannot be a run's id"):
            await client.create_job("pipeline", path, run_guid="../../there")
        with pytest.raises(UsageError, match="cannot be a run's id"):
            await client.create_job("pipeline", path, {"run_guid": "a/b"})
        with pytest.raises(UsageError, match="A mine job has no run folder"):
            await client.create_job("mine", path, keep_checkpoint=True)
    finally:
        await client.close()
