"""Jobs chained, retried, redone, forked: what is done again is what was asked for, and no more.

On a real server with real records; every history is replayed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from client import JobClient, JobFailedError
from stope.errors import InputError, ProviderRejectedError, UsageError
from stope.models.job import InputKind, JobStatus, JobType
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.lab import Lab, open_lab

ALL = ["u0", "u1", "u2", "u3"]
SOON = 120.0
"""Seconds after which what is waited for will not come any more."""


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path, temporal, server) as lab:
        yield lab


async def _last(client: JobClient, kind: JobType) -> str:
    """The one job of a type, once it has its result."""
    found: list[str] = []

    async def done() -> bool:
        found[:] = [
            job.id for job in await client.jobs() if job.type is kind and job.status.has_result
        ]
        return bool(found)

    await until(done, f"a finished {kind.value} job", SOON)
    return found[0]


async def test_a_job_that_is_processed_by_itself_chains_to_the_last_stage(lab: Lab) -> None:
    place = lab.home / "place"
    async with lab.client() as client:
        # Nobody waits for it, and nobody works yet: all of it is a matter of workflows.
        first = await client.create_job(
            "transcribe", lab.recording(), {"upload_to": str(place)}, auto_process=True
        )
    async with lab.client() as client, lab.working():
        last = await _last(client, JobType.UPLOAD)
        jobs = {job.type: job for job in await client.jobs()}
        [paying] = await client.runs(first)
        payers = [run.pipeline_run_id for job in jobs for run in await client.runs(jobs[job].id)]
    assert sorted(payers, key=str) == sorted([None, *[paying.run_id] * 3], key=str)
    assert [script.done for script in lab.scripts.values()] == [ALL] * 4
    assert (jobs[JobType.TRANSCRIBE].id, jobs[JobType.UPLOAD].id) == (first, last)
    assert all(job.parent_id is None and job.options.chain for job in jobs.values())
    await lab.replays(*(job.id for job in jobs.values()))


async def test_a_chain_goes_on_from_what_is_finished_with_the_models_it_was_asked_for(
    lab: Lab,
) -> None:
    text = lab.text()
    async with lab.client() as client, lab.working():
        mined = await client.create_job("mine", text, {"flagship_model": "openai:old"})
        await client.process_job(mined)
        again = await client.create_job(
            "mine", text, {"flagship_model": "openai:new"}, auto_process=True
        )
        judged = await client.job(await _last(client, JobType.FLAGSHIP))
    assert again == mined
    assert judged.config.flagship_model == "openai:new"
    assert lab.scripts[JobType.MINE].done == ALL


async def test_retrying_gaps_does_these_and_what_follows_from_them(lab: Lab) -> None:
    mining, judging = lab.scripts[JobType.MINE], lab.scripts[JobType.FLAGSHIP]
    mining.gaps.add("u2")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        first = await client.process_job(job_id)
        assert (first["status"], len(first["gaps"])) == ("succeeded_with_gaps", 1)
        with pytest.raises(UsageError, match="--gaps"):
            await client.retry(job_id)
        mining.done.clear()
        judging.done.clear()
        mining.gaps.clear()
        await client.retry(job_id, gaps=True)
        second = await client.wait(job_id)
        runs = await client.runs(job_id)
        assert (await client.retry(job_id, gaps=True)).result == second
    assert (second["status"], "gaps" in second) == ("succeeded", False)
    assert mining.done == ["u2"]
    # Other claims are other work; the same claims would have been reused.
    assert judging.done == ALL
    assert [run.status.value for run in runs] == ["succeeded_with_gaps", "succeeded"]
    await lab.replays(job_id, f"{job_id}/mine")


async def test_a_retry_in_vain_leaves_the_result_that_was_there(lab: Lab) -> None:
    script = lab.scripts[JobType.MINE]
    script.gaps.add("u2")
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        first = await client.process_job(job_id)
        script.errors["u2"] = ProviderRejectedError("No key.")
        await client.retry(job_id, gaps=True)
        with pytest.raises(JobFailedError, match="No key"):
            await client.wait(job_id)
        assert await client.result(job_id) == first
        assert (await client.job(job_id)).status is JobStatus.SUCCEEDED_WITH_GAPS
        assert (await client.runs(job_id))[-1].status is JobStatus.FAILED


async def test_there_is_nothing_to_retry_of_a_job_that_succeeded_until_a_redo_fails(
    lab: Lab,
) -> None:
    script = lab.scripts[JobType.MINE]
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        first = await client.process_job(job_id)
        with pytest.raises(UsageError, match="nothing to try again; `stope redo"):
            await client.retry(job_id)
        script.errors["u1"] = ProviderRejectedError("No key.")
        script.answer = "second"
        await client.redo(job_id, "mine")
        with pytest.raises(JobFailedError, match="No key"):
            await client.wait(job_id)
        # The failed run has noted what it did.
        [*_, failed] = await client.runs(job_id)
        assert failed.metrics is not None
        assert failed.metrics["units_done"] == 1
        await client.retry(job_id)
        assert await client.wait(job_id) != first


async def test_a_redo_keeps_the_stages_before_and_makes_the_others_afresh(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.recording())
        first = await client.process_job(job_id)
        for script in lab.scripts.values():
            script.done.clear()
            script.answer = "second"
        with pytest.raises(UsageError, match="no stage 'upload'"):
            await client.redo(job_id, "upload")
        await client.redo(job_id, "mine")
        second = await client.wait(job_id)
        stages = {job.type: job for job in await client.stage_jobs(job_id)}
    asked = {kind: script.done for kind, script in lab.scripts.items()}
    assert asked == {
        JobType.TRANSCRIBE: [],
        JobType.MINE: ALL,
        JobType.FLAGSHIP: ALL,
        JobType.UPLOAD: [],
    }
    assert stages[JobType.TRANSCRIBE].namespace == ""
    assert stages[JobType.MINE].namespace == stages[JobType.FLAGSHIP].namespace != ""
    assert isinstance(first["result"], dict)
    assert isinstance(second["result"], dict)
    assert first["result"]["transcript_digest"] == second["result"]["transcript_digest"]
    assert first["result"]["claims_digest"] != second["result"]["claims_digest"]
    await lab.replays(job_id)


async def test_a_redo_that_is_cut_short_goes_on_with_what_it_made_afresh(lab: Lab) -> None:
    mining, judging = lab.scripts[JobType.MINE], lab.scripts[JobType.FLAGSHIP]
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.recording())
        first = await client.process_job(job_id)
        for script in lab.scripts.values():
            script.done.clear()
            script.answer = "second"
        judging.errors["u1"] = ProviderRejectedError("No key.")
        await client.redo(job_id, "mine")
        with pytest.raises(JobFailedError, match="No key"):
            await client.wait(job_id)
        assert await client.result(job_id) == first
        await client.resume(job_id)
        second = await client.wait(job_id)
    assert second != first
    assert mining.done == ALL
    assert judging.done == ["u0", "u1", "u1", "u2", "u3"]


async def test_a_redo_of_one_stage_is_all_of_it(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        await client.process_job(job_id)
        await client.redo(job_id)
        await client.wait(job_id)
    assert lab.scripts[JobType.MINE].done == [*ALL, *ALL]


async def test_a_fork_pays_for_what_it_changes(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.recording())
        await client.process_job(job_id)
        for script in lab.scripts.values():
            script.done.clear()
        with pytest.raises(UsageError, match="the job itself"):
            await client.fork(job_id, asr_model="tiny.en")
        forked = await client.fork(job_id, miner_model="openai:other")
        assert (await client.job(forked)).status is JobStatus.QUEUED
        await client.process_job(forked)
    assert forked != job_id
    assert lab.scripts[JobType.TRANSCRIBE].done == []
    assert lab.scripts[JobType.MINE].done == ALL


async def test_a_run_made_by_hand_is_the_one_that_is_begun(lab: Lab) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("mine", lab.text())
        first, second = [await client.create_job_run(job_id) for _ in range(2)]
        own = {"custom_field": "custom_value", "progress": 50}
        await client.save_checkpoint(first, own)
        assert await client.load_checkpoint(first) == own
        assert await client.load_checkpoint(second) is None
        with pytest.raises(UsageError, match="no JSON object"):
            await client.save_checkpoint(first, {"at": {1, 2}})
        release = lab.scripts[JobType.MINE].hold("u1")
        await client.start_job(job_id)
        await until(lambda: lab.scripts[JobType.MINE].begun("u1"), "the second unit", SOON)
        with pytest.raises(UsageError, match="is running and writes its own"):
            await client.save_checkpoint(first, own)
        release.set()
        await client.wait(job_id)
        runs = await client.runs(job_id)
        mirrored = await client.load_checkpoint(first)
        newest = await client.checkpoint(job_id)
    assert [(run.run_id, run.attempt, run.status.value) for run in runs] == [
        (first, 1, "succeeded"),
        (second, 2, "queued"),
    ]
    assert mirrored is not None
    assert mirrored["stage"] == "completed"
    assert newest == mirrored
    await lab.replays(job_id)


@pytest.mark.parametrize(
    "own", [{"stope": {"version": "mine"}}, {"completed_stages": ["draft"], "results": {}}]
)
async def test_a_pipeline_begins_a_run_with_a_checkpoint_of_somebodys_own(
    lab: Lab, own: dict[str, object]
) -> None:
    async with lab.client() as client, lab.working():
        job_id = await client.create_job("pipeline", lab.text())
        run_id = await client.create_job_run(job_id)
        await client.save_checkpoint(run_id, own)
        assert (await client.process_job(job_id))["status"] == "succeeded"
        [run] = await client.runs(job_id)
    assert run.run_id == run_id
    assert run.checkpoint is not None
    assert run.checkpoint["completed_stages"] == ["mine", "flagship"]


async def test_the_file_may_be_in_the_config_beside_how_it_is_worked_on(lab: Lab) -> None:
    text = lab.text()
    config = {"file_path": str(text), "miner_model": "ollama:qwen2.5:7b-instruct"}
    async with lab.client() as client:
        job_id = await client.create_job(
            job_type="mine",
            input_id="episode_12345",
            config={**config, "max_workers": None, "enable_parallel_processing": True},
            auto_process=False,
        )
        job = await client.job(job_id)
        assert (job.input.path, job.options.max_workers) == (str(text), None)
        same = await client.create_job("mine", text, {**config, "max_workers": 3})
        assert (same, (await client.job(same)).options.max_workers) == (job_id, 3)
        one = {**config, "max_workers": 3, "enable_parallel_processing": False}
        await client.create_job("mine", "episode_12345", one)
        assert (await client.job(job_id)).options.max_workers == 1
        for wrong in ({"max_worker": 3}, {"max_workers": "many"}, {"file_path": "gone.txt"}):
            with pytest.raises((UsageError, InputError)):
                await client.create_job("mine", "episode_12345", wrong)
        async with lab.working():
            await client.process_job(job_id, resume_from_checkpoint=True)
    assert [item.max_workers for item in lab.scripts[JobType.MINE].requests] == [1]


async def test_every_stage_starts_alone_from_what_another_gave(lab: Lab) -> None:
    place = str(lab.home / "place")
    async with lab.client() as client, lab.working():
        heard = await client.create_job("transcribe", lab.recording())
        await client.process_job(heard)
        mined = await client.create_job("mine", heard)
        with pytest.raises(InputError, match="no result yet"):
            await client.create_job("flagship", mined)
        await client.process_job(mined)
        judged = await client.create_job("flagship", mined)
        await client.process_job(judged)
        kinds = []
        for giver in (mined, judged):
            sent = await client.create_job("upload", giver, {"upload_to": place})
            assert (await client.process_job(sent))["status"] == "succeeded"
            kinds.append((await client.job(sent)).input.kind)
        with pytest.raises(UsageError, match="upload_to"):
            await client.create_job("upload", judged)
        with pytest.raises(UsageError, match="gives no"):
            await client.create_job("upload", heard, {"upload_to": place})
        with pytest.raises(InputError, match="not a stored transcript"):
            await client.create_job("mine", "a" * 64)
    assert kinds == [InputKind.CLAIMS, InputKind.KNOWLEDGE]
