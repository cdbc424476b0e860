"""An episode is kept, found and cleaned up like any pipeline, also from other records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.episode_run import EpisodeRun
from activities.runs import RunActivities
from client import JobClient, JobFailedError
from stope import recipes
from stope.artifacts import ArtifactStore
from stope.errors import ProviderRejectedError, StorageUnavailableError
from stope.keeping import collect_garbage
from stope.models import route
from stope.models.job import Job, JobStatus, JobType, JsonObject
from stope.models.keeping import KeepPolicy
from stope.models.messages import OpenStage
from stope.models.steps import EpisodeCheckpoint, StepSummary
from stope.settings import Settings
from stope.steps.checkpoint import only_newer, parsed, write_file
from stope.steps.identity import checkpoint_path, run_guid_of
from tests.waiting import until
from tests.workflows.lab import Lab, becomes, open_lab

UNITS = ["u0", "u1", "u2", "u3"]
STAGES = ["transcribe", "mine", "flagship"]


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, temporal, server) as lab:
        yield lab


@pytest.fixture
def elsewhere(
    lab: Lab, tmp_path: Path, temporal: Client, server: Settings
) -> AbstractAsyncContextManager[Lab]:
    """Another machine: records, folder and workers of its own, and the same artifacts."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    url = lab.settings.artifact_store_url
    return open_lab(home, temporal, server, artifacts_url=url)


async def body_of(lab: Lab, job_id: str) -> bytes | None:
    """What is in the folder of a job's run."""
    path = checkpoint_path(run_guid_of(await lab.services.jobs.get(job_id)))
    return await lab.services.artifacts.read_named(path)


async def filed(lab: Lab, job_id: str) -> EpisodeCheckpoint | None:
    data = await body_of(lab, job_id)
    return None if data is None else parsed(data, EpisodeCheckpoint)


async def mirrored(lab: Lab, job_id: str) -> EpisodeCheckpoint:
    async with lab.client() as client:
        return EpisodeCheckpoint.model_validate(await client.checkpoint(job_id))


def statuses(checkpoint: EpisodeCheckpoint | None) -> list[str]:
    assert checkpoint is not None
    assert set(checkpoint.steps_summary) == set(STAGES)
    return [checkpoint.steps_summary[stage].status.value for stage in STAGES]


def times(step: StepSummary) -> dict[str, object]:
    """All of it but where it stands."""
    return step.model_dump(exclude={"status"})


def asked(lab: Lab) -> dict[str, list[str]]:
    """The units of each stage that were worked on."""
    return {stage: lab.scripts[JobType(stage)].done for stage in STAGES}


def parts(result: JsonObject) -> JsonObject:
    found = result["result"]
    assert isinstance(found, dict)
    return found


async def sound(client: JobClient, job_id: str) -> set[str]:
    """The job and its stages, as far as their records agree; scripted stages mirror too little."""
    return {one.job_id for one in await client.verify(job_id) if one.sound}


async def failed_at(
    lab: Lab, client: JobClient, stage: str, *, strict_resume: bool | None = None
) -> Job:
    """An episode whose stage of a name has failed, once."""
    lab.scripts[JobType(stage)].errors["u1"] = ProviderRejectedError("No key.")
    job_id = await client.create_job("pipeline", lab.recording(), strict_resume=strict_resume)
    with pytest.raises(JobFailedError, match="No key"):
        await client.process_job(job_id)
    return await client.job(job_id)


async def test_every_step_is_in_its_folder_and_on_its_run_until_it_succeeds(lab: Lab) -> None:
    held = lab.scripts[JobType.FLAGSHIP].hold("u1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.FLAGSHIP].begun("u1"), "the last stage", 30)
        middle = await filed(lab, job_id)
        shown = await mirrored(lab, job_id)
        held.set()
        result = await client.wait(job_id)
        await lab.replays(job_id)
        assert job_id in await sound(client, job_id)
    # What begins is on the run only: nobody restarts by it.
    assert statuses(shown) == ["completed", "completed", "in_progress"]
    assert statuses(middle) == ["completed", "completed", "not_started"]
    assert middle is not None
    assert middle.results == shown.results
    assert middle.completed_steps == middle.completed_stages == STAGES[:2]
    assert set(middle.context) == {"transcript", "claims"}
    assert middle.context["claims"] == {
        "$artifact": parts(result)["claims_digest"],
        "type": "model",
    }
    after = await mirrored(lab, job_id)
    assert statuses(after) == ["completed"] * 3
    assert after.steps_summary["mine"] == middle.steps_summary["mine"]
    assert after.steps_summary["mine"].metadata["units_done"] == 4
    assert await filed(lab, job_id) is None


@pytest.mark.parametrize("ending", ["kept", "gaps"])
async def test_it_stays_where_that_is_wanted_and_where_something_is_left_to_do(
    lab: Lab, ending: str
) -> None:
    if ending == "gaps":
        lab.scripts[JobType.MINE].gaps.add("u2")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job(
            "pipeline", lab.recording(), keep_checkpoint=ending == "kept"
        )
        await client.process_job(job_id)
        kept = await filed(lab, job_id)
        assert kept == await mirrored(lab, job_id)
        assert statuses(kept) == ["completed"] * 3
        if ending == "gaps":
            lab.scripts[JobType.MINE].gaps.clear()
            await client.retry(job_id, gaps=True)
            await client.wait(job_id)
            after = await mirrored(lab, job_id)
            assert statuses(after) == ["skipped", "completed", "completed"]
            assert await filed(lab, job_id) is None


async def test_a_failure_keeps_it_and_finished_steps_keep_their_times(lab: Lab) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship")
        before = await filed(lab, job.id)
        assert before is not None
        assert before == await mirrored(lab, job.id)
        assert statuses(before) == ["completed", "completed", "failed"]
        assert before.steps_summary["flagship"].error == "No key."
        assert before.stope.error is not None
        assert before.stope.error.type == "ProviderRejected"
        result = await client.process_job(job.id)
        await lab.replays(job.id)
    assert result["status"] == "succeeded"
    assert asked(lab) == {"transcribe": UNITS, "mine": UNITS, "flagship": ["u0", "u1", *UNITS[1:]]}
    after = await mirrored(lab, job.id)
    assert statuses(after) == ["skipped", "skipped", "completed"]
    for stage in STAGES[:2]:
        assert times(after.steps_summary[stage]) == times(before.steps_summary[stage])
    assert after.steps_summary["flagship"].attempt == 2
    assert await filed(lab, job.id) is None


async def test_a_cancelled_run_keeps_it(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    held = script.hold("u1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.start_job(job_id)
        await until(lambda: script.begun("u1"), "a unit in flight", 30)
        await client.cancel(job_id)
        await until(script.told_to_stop, "the worker to be told", 30)
        held.set()
        await becomes(client, job_id, JobStatus.CANCELLED)

        async def noted() -> bool:
            return statuses(await filed(lab, job_id)) == ["completed", "cancelled", "not_started"]

        await until(noted, "the checkpoint to say so", 30)
        await client.resume(job_id)
        await client.wait(job_id)
    assert asked(lab) == dict.fromkeys(STAGES, UNITS)


async def test_other_records_take_over_what_the_folder_says_and_do_the_rest(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab]
) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship")
        before = await filed(lab, job.id)
    assert before is not None
    async with elsewhere as other, other.working(), other.client() as client:
        job_id = await client.create_job("pipeline", lab.home / "talk.wav", strict_resume=True)
        assert job_id == job.id
        result = await client.process_job(job_id)
        after = await mirrored(other, job_id)
        assert asked(other) == {"transcribe": [], "mine": [], "flagship": UNITS}
        taken = [one.id for one in await client.stage_jobs(job_id)][:2]
        assert {job_id, *taken} <= await sound(client, job_id)
        assert {one.type.value: one.status for one in await client.stage_jobs(job_id)} == (
            dict.fromkeys(STAGES, JobStatus.SUCCEEDED)
        )
        await other.replays(job_id)
        # The same request once more: from its result, and nothing of it is found anew.
        assert await client.process_job(job_id) == result
    assert statuses(after) == ["skipped", "skipped", "completed"]
    for stage in STAGES[:2]:
        assert times(after.steps_summary[stage]) == times(before.steps_summary[stage])
        assert after.results[stage] == before.results[stage]
    assert (
        parts(result)["transcript_digest"]
        == parts(before.results["transcribe"])["transcript_digest"]
    )
    assert await filed(lab, job.id) is None


async def test_a_run_on_other_records_that_fails_again_leaves_what_it_took_over(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab]
) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "mine")
        before = await filed(lab, job.id)
    assert before is not None
    async with elsewhere as other, other.working(), other.client() as client:
        other.scripts[JobType.FLAGSHIP].errors["u0"] = ProviderRejectedError("No key.")
        await client.create_job("pipeline", lab.home / "talk.wav")
        with pytest.raises(JobFailedError, match="No key"):
            await client.process_job(job.id)
        assert asked(other) == {"transcribe": [], "mine": UNITS, "flagship": ["u0"]}
        after = await filed(other, job.id)
    assert statuses(after) == ["skipped", "completed", "failed"]
    # Back where it began: its own transcript, and the claims that the other one has made.
    async with lab.working(), lab.client() as client:
        await client.process_job(job.id)
    assert asked(lab) == {"transcribe": UNITS, "mine": ["u0", "u1"], "flagship": UNITS}


@pytest.fixture
def another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The episode is declared anew, in everything that looks at its version."""
    newer = route.EPISODE.model_copy(update={"version": 2})
    monkeypatch.setattr(route, "EPISODE", newer)
    monkeypatch.setattr(recipes, "EPISODE", newer)


async def test_a_checkpoint_of_another_version_is_explained_and_not_used(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab], request: pytest.FixtureRequest
) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship")
    before = await body_of(lab, job.id)
    request.getfixturevalue("another_version")
    async with elsewhere as other, other.working(), other.client() as client:
        strict = await client.create_job("pipeline", lab.home / "talk.wav", strict_resume=True)
        assert strict != job.id
        with pytest.raises(JobFailedError, match="of version 1 of the pipeline, which is 2 now"):
            await client.process_job(strict)
        # A run that must not begin leaves what it found.
        assert await body_of(lab, job.id) == before
        assert not any(asked(other).values())
        same = await client.create_job("pipeline", lab.home / "talk.wav", strict_resume=False)
        assert same == strict
        await client.process_job(same)
        [notice] = (await mirrored(other, same)).stope.notices
        assert asked(other) == dict.fromkeys(STAGES, UNITS)
    assert "which is 2 now" in notice
    assert "starts afresh" in notice


async def test_a_result_that_is_not_whole_is_made_again_from_its_units(lab: Lab) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship", strict_resume=True)
        before = await filed(lab, job.id)
        assert before is not None
        digest = str(parts(before.results["transcribe"])["transcript_digest"])
        lab.services.artifacts.delete([digest])
        with pytest.raises(JobFailedError, match="transcript of the step transcribe"):
            await client.process_job(job.id)
        assert not await lab.services.artifacts.exists(digest)
        await client.create_job("pipeline", lab.recording(), strict_resume=False)
        await client.process_job(job.id)
        await lab.replays(job.id)
        assert job.id in await sound(client, job.id)
    assert asked(lab)["transcribe"] == asked(lab)["mine"] == UNITS
    assert await lab.services.artifacts.exists(digest)
    found, repaired = (await mirrored(lab, job.id)).stope.notices
    assert "starts afresh" in found
    assert "made again from what is committed" in repaired


async def test_what_was_taken_over_and_is_lost_is_said_to_be_made_anew(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab]
) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship")
        before = await filed(lab, job.id)
    assert before is not None
    async with elsewhere as other, other.working(), other.client() as client:
        other.scripts[JobType.FLAGSHIP].errors["u0"] = ProviderRejectedError("No key.")
        await client.create_job("pipeline", lab.home / "talk.wav")
        with pytest.raises(JobFailedError, match="No key"):
            await client.process_job(job.id)
        other.services.artifacts.delete([str(parts(before.results["mine"])["claims_digest"])])
        await client.process_job(job.id)
        # What comes before the step that is lost is not.
        assert asked(other)["transcribe"] == []
        assert asked(other)["mine"] == UNITS
        kept, anew = (await mirrored(other, job.id)).stope.notices
    assert "used only up to the step mine, which cannot be used" in kept
    assert "It is made anew: it was taken over" in anew


async def test_what_does_not_fit_stays_until_there_is_something_better(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab]
) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording(), run_guid="nightly")
        lab.scripts[JobType.FLAGSHIP].errors["u1"] = ProviderRejectedError("No key.")
        with pytest.raises(JobFailedError, match="No key"):
            await client.process_job(job_id)
    before = await body_of(lab, job_id)
    async with elsewhere as other, other.working(), other.client() as client:
        other.scripts[JobType.TRANSCRIBE].errors["u1"] = ProviderRejectedError("No model.")
        mistaken = await client.create_job(
            "pipeline", lab.home / "talk.wav", {"language": "de"}, run_guid="nightly"
        )
        assert mistaken != job_id
        with pytest.raises(JobFailedError, match="No model"):
            await client.process_job(mistaken)
        assert await body_of(other, mistaken) == before
        # Started properly, it takes over what was done.
        await client.create_job("pipeline", lab.home / "talk.wav", run_guid="nightly")
        await client.process_job(job_id)
        assert asked(other) == {"transcribe": ["u0", "u1"], "mine": [], "flagship": UNITS}


async def test_who_opens_a_run_late_throws_nothing_away(lab: Lab) -> None:
    held = lab.scripts[JobType.FLAGSHIP].hold("u1")
    opening = RunActivities(lab.services).open_stage
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.FLAGSHIP].begun("u1"), "the last stage", 30)
        [run] = await client.runs(job_id)
        late = OpenStage(pipeline_id=job_id, run_id=run.run_id, stage=JobType.TRANSCRIBE)
        during = await mirrored(lab, job_id)
        # As where the store took none.
        await lab.services.artifacts.delete_named(checkpoint_path(during.run_guid))
        await ActivityEnvironment().run(opening, late)
        assert await mirrored(lab, job_id) == during
        held.set()
        result = await client.wait(job_id)
        before = await mirrored(lab, job_id)
        assert await filed(lab, job_id) is None
        await ActivityEnvironment().run(opening, late)
        assert await mirrored(lab, job_id) == before
        assert await client.result(job_id) == result
        # Nor does one whose write was on its way when the run ended.
        body = before.model_dump(mode="json")
        jobs = lab.services.jobs
        assert not await jobs.write_checkpoint(run.run_id, 99, 99, body, unless_ended=True)


async def test_a_run_that_lost_a_result_on_its_way_does_not_succeed_without_it(lab: Lab) -> None:
    held = lab.scripts[JobType.FLAGSHIP].hold("u1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.FLAGSHIP].begun("u1"), "the last stage", 30)
        [run] = await client.runs(job_id)
        meta = {"attempt": 90, "version": 90}
        await lab.services.jobs.write_checkpoint(run.run_id, 90, 90, {"stope": meta})
        held.set()
        with pytest.raises(JobFailedError, match="no result of its stage transcribe any more"):
            await client.wait(job_id)
        assert (await client.process_job(job_id))["status"] == "succeeded"
    # Each stage answers from its own job.
    assert asked(lab) == dict.fromkeys(STAGES, UNITS)


async def test_a_forced_episode_keeps_what_was_made_afresh_since(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.process_job(job_id, resume_from_checkpoint=False)
        script.answer = "second"
        await client.redo(job_id, "mine")
        second = await client.wait(job_id)
        script.done.clear()
        await client.redo(job_id, "flagship")
        third = await client.wait(job_id)
        assert parts(third)["claims_digest"] == parts(second)["claims_digest"]
        assert script.done == []
        # To force it again is to make all of it afresh.
        await client.redo(job_id)
        await client.wait(job_id)
    assert script.done == UNITS


async def test_a_late_clean_up_leaves_the_file_of_the_run_after_it(lab: Lab) -> None:
    held = lab.scripts[JobType.FLAGSHIP].hold("u1")
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "mine")
        [first] = await client.runs(job.id)
        await client.start_job(job.id)
        await until(lambda: lab.scripts[JobType.FLAGSHIP].begun("u1"), "the last stage", 30)
        during = await body_of(lab, job.id)
        await EpisodeRun(lab.services, job, first).clean(JobStatus.SUCCEEDED)
        assert await body_of(lab, job.id) == during is not None
        held.set()
        await client.wait(job.id)
    assert await body_of(lab, job.id) is None


async def test_a_folder_that_cannot_be_reached_is_no_fresh_start(
    lab: Lab, elsewhere: AbstractAsyncContextManager[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "flagship")
    read, away = ArtifactStore.read_named, list[str]()

    async def read_named(store: ArtifactStore, path: str) -> bytes | None:
        away.append(path)
        raise StorageUnavailableError("The store is away.", retry_after=0.1)

    monkeypatch.setattr(ArtifactStore, "read_named", read_named)

    async def tried() -> bool:
        return len(away) > 2

    async with elsewhere as other, other.working(), other.client() as client:
        job_id = await client.create_job("pipeline", lab.home / "talk.wav")
        await client.start_job(job_id)
        await until(tried, "several tries", 30)
        assert (await client.job(job_id)).status is JobStatus.RUNNING
        monkeypatch.setattr(ArtifactStore, "read_named", read)
        await client.wait(job_id)
        assert job_id == job.id
        assert asked(other) == {"transcribe": [], "mine": [], "flagship": UNITS}
        assert (await mirrored(other, job_id)).stope.notices == ()


async def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_work(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def replace_named(*_args: object, **_options: object) -> None:
        raise StorageUnavailableError("The store is away.")

    monkeypatch.setattr(ArtifactStore, "replace_named", replace_named)
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording(), keep_checkpoint=True)
        assert (await client.process_job(job_id))["status"] == "succeeded"
    assert await filed(lab, job_id) is None
    assert statuses(await mirrored(lab, job_id)) == ["completed"] * 3


async def test_a_run_that_began_before_steps_were_noted_keeps_its_stages(lab: Lab) -> None:
    held = lab.scripts[JobType.FLAGSHIP].hold("u1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording())
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.FLAGSHIP].begun("u1"), "the last stage", 30)
        [run] = await client.runs(job_id)
        body = run.checkpoint or {}
        before = {name: body[name] for name in ("completed_stages", "results")}
        meta = {"schema_version": 1, "version": 90, "attempt": 90}
        await lab.services.jobs.write_checkpoint(run.run_id, 90, 90, before | {"stope": meta})
        held.set()
        result = await client.wait(job_id)
    after = await mirrored(lab, job_id)
    assert after.completed_stages == STAGES
    assert set(parts(result)) >= {"transcript_digest", "claims_digest", "knowledge_digest"}


async def test_a_write_that_comes_late_from_another_process_changes_nothing(lab: Lab) -> None:
    jobs = lab.services.jobs
    async with lab.working(), lab.client() as client:
        job = await failed_at(lab, client, "mine")
        [run] = await client.runs(job.id)
        assert run.checkpoint is not None
        failed = await body_of(lab, job.id)
        meta = run.checkpoint["stope"]
        assert isinstance(meta, dict)
        early = run.checkpoint | {"stope": meta | {"attempt": 0, "version": 1}}
        other = ArtifactStore(lab.settings.artifact_store_url)
        await write_file(other, early, only_newer(jobs, early))
        assert await body_of(lab, job.id) == failed
        # The next run has the folder now, whoever comes from the one before.
        held = lab.scripts[JobType.FLAGSHIP].hold("u1")
        await client.start_job(job.id)
        await until(lambda: has_written(lab, job.id, failed), "a checkpoint of the next run", 30)
        late = run.checkpoint | {"stope": meta | {"attempt": 99, "version": 99}}
        during = await body_of(lab, job.id)
        await write_file(other, late, only_newer(jobs, late))
        assert await body_of(lab, job.id) == during
        held.set()
        await client.wait(job.id)
        newest = (await client.checkpoint(job.id)) or {}
        await write_file(other, newest, only_newer(jobs, newest))
    # It is cleaned up, and stays so.
    assert await body_of(lab, job.id) is None


async def has_written(lab: Lab, job_id: str, before: bytes | None) -> bool:
    """Whether there is another checkpoint in the folder than before, with one step to come."""
    found = await filed(lab, job_id)
    has_one_left = statuses(found) == ["skipped", "completed", "not_started"]
    return await body_of(lab, job_id) != before and has_one_left


@pytest.mark.parametrize("keep_runs", [0, 1])
async def test_clearing_out_takes_the_folder_with_the_job_and_not_before(
    lab: Lab, keep_runs: int
) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_job("pipeline", lab.recording(), keep_checkpoint=True)
        result = await client.process_job(job_id)
        path = checkpoint_path(run_guid_of(await client.job(job_id)))
    artifacts = lab.services.artifacts
    in_a_year = datetime.now(UTC) + timedelta(days=400)
    policy = KeepPolicy(keep_days=1, keep_runs=keep_runs)
    scratch = lab.settings.scratch
    await collect_garbage(lab.services.database, artifacts, scratch, policy, in_a_year)
    assert (await artifacts.read_named(path) is not None) is bool(keep_runs)
    assert await artifacts.exists(str(parts(result)["claims_digest"])) is bool(keep_runs)
