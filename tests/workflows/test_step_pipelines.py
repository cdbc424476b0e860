"""Step pipelines on a real server: what is kept, skipped, said and cleaned up, whatever happens."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from temporalio.client import Client

from client import JobClient, JobFailedError
from stope.artifacts import ArtifactStore
from stope.artifacts.named import May
from stope.errors import RecordsBusyError, StorageUnavailableError, UsageError
from stope.keeping import collect_garbage
from stope.models.job import Job, JobRun, JobStatus, JobType, JsonObject
from stope.models.keeping import KeepPolicy
from stope.models.steps import StepCheckpoint
from stope.records.jobs import JobRecords
from stope.records.uses import ARTIFACT, RunUses
from stope.settings import Settings
from stope.steps import checkpoint as checkpoint_module
from stope.steps.checkpoint import CheckpointFile, checkpoint_of, parse
from stope.steps.identity import checkpoint_path, run_guid_of
from tests.object_servers import Door, Mode, open_place
from tests.waiting import until
from tests.workflows import scripted_steps
from tests.workflows.lab import becomes
from tests.workflows.scripted_steps import (
    PIPELINE,
    Script,
    StepsLab,
    failure,
    open_steps_lab,
    parts_of,
)

ALL = ["gather", "look", "paint", "frame", "close"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    fresh = Script()
    monkeypatch.setattr(scripted_steps, "script", fresh)
    return fresh


@pytest.fixture
async def lab(
    tmp_path: Path, temporal: Client, server: Settings, script: Script
) -> AsyncIterator[StepsLab]:
    async with open_steps_lab(tmp_path / "home", temporal, server) as lab:
        yield lab


async def mirrored(lab: StepsLab, job_id: str) -> StepCheckpoint:
    """The checkpoint on the newest run."""
    async with lab.client() as client:
        body = await client.checkpoint(job_id)
    assert body is not None
    return StepCheckpoint.model_validate(body)


async def filed(lab: StepsLab, job_id: str) -> StepCheckpoint | None:
    """The checkpoint among the artifacts."""
    data = await lab.kept(run_guid_of(await lab.services.jobs.get(job_id)))
    return None if data is None else parse(data)


async def sound(client: JobClient, job_id: str) -> bool:
    """Whether the records of a job agree with each other."""
    [checked] = await client.verify(job_id)
    return checked.sound


async def statuses(lab: StepsLab, job_id: str) -> dict[str, str]:
    summary = (await mirrored(lab, job_id)).steps_summary
    return {name: step.status.value for name, step in summary.items()}


async def test_a_run_gives_its_result_and_leaves_nothing_behind(
    lab: StepsLab, script: Script
) -> None:
    path = lab.file()
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [path])
        result = await client.process_job(job_id)
        assert await client.process_job(job_id) == result
        await lab.replays(job_id)
    assert script.done == ["gather", "look", "unit_0", "unit_1", "unit_2", *ALL[2:]]
    assert script.types == [np.ndarray, scripted_steps.Picture]
    parts = parts_of(result)
    assert (result["status"], parts["sum"], parts["steps"]) == ("succeeded", 9, 5)
    back = np.load(io.BytesIO(await lab.services.artifacts.get(str(parts["all_digest"]))))
    assert (back.dtype, back.tolist()) == (np.dtype("<i4"), [1, 3, 5])
    assert set(await statuses(lab, job_id)) == set(ALL)
    assert set((await statuses(lab, job_id)).values()) == {"completed"}
    assert await filed(lab, job_id) is None
    assert not (lab.settings.scratch / "steps" / str(parts["run_guid"])).exists()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


async def test_what_one_process_made_is_not_read_again_by_it(lab: StepsLab, script: Script) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.process_job(job_id)
        counts = lab.activities.cache.counts
    summary = (await mirrored(lab, job_id)).steps_summary
    assert summary["look"].metadata["context"] == {"from_memory": 1, "from_storage": 0}
    assert summary["look"].metadata["units"] == 3
    assert summary["gather"].metadata["files"] == 1
    # Arrays and pictures three times; small values stand in the context itself.
    assert (counts.from_memory, counts.from_storage) == (3, 0)


async def test_the_checkpoint_stays_where_that_is_wanted(lab: StepsLab, script: Script) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()], keep_checkpoint=True)
        result = await client.process_job(job_id)
    kept = await filed(lab, job_id)
    assert kept is not None
    assert kept.completed_steps == ALL
    assert kept == await mirrored(lab, job_id)
    scratch = lab.settings.scratch / "steps" / str(parts_of(result)["run_guid"])
    assert (scratch / "gather" / "half").read_text() == "made on the way"


async def test_a_required_step_that_fails_keeps_what_is_done(lab: StepsLab, script: Script) -> None:
    script.fail("close", failure("There is no room to close."))
    path = lab.file()
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [path])
        with pytest.raises(JobFailedError, match="no room to close"):
            await client.process_job(job_id)
        failed = await filed(lab, job_id)
        assert failed is not None
        assert failed.completed_steps == ALL[:4]
        assert failed.steps_summary["close"].status.value == "failed"
        assert failed.stope.error is not None
        assert "no room to close" in failed.stope.error.message
        assert failed == await mirrored(lab, job_id)
        script.done.clear()
        result = await client.process_job(job_id)
        await lab.replays(job_id)
    assert script.done == ["close"]
    assert parts_of(result)["sum"] == 9
    after = await mirrored(lab, job_id)
    assert {name: step.status.value for name, step in after.steps_summary.items()} == {
        **dict.fromkeys(ALL[:4], "skipped"),
        "close": "completed",
    }
    for name in ALL[:4]:
        old, new = failed.steps_summary[name], after.steps_summary[name]
        assert old.model_dump(exclude={"status"}) == new.model_dump(exclude={"status"})
    assert await filed(lab, job_id) is None
    assert path.read_text().startswith("some bytes")


async def test_an_optional_step_that_fails_is_a_gap_and_can_be_tried_alone(
    lab: StepsLab, script: Script
) -> None:
    script.fail("paint", failure("The paint is dry."))
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        result = await client.process_job(job_id)
        assert result["status"] == "succeeded_with_gaps"
        assert [(gap["stage"], gap["reason"]) for gap in _gaps(result)] == [
            ("paint", "The paint is dry."),
            ("frame", "It needs picture, which was not made."),
        ]
        assert parts_of(result)["sum"] == 9
        assert "framed_digest" not in parts_of(result)
        assert await statuses(lab, job_id) == {
            **dict.fromkeys(ALL, "completed"),
            "paint": "failed",
            "frame": "skipped",
        }
        kept = await filed(lab, job_id)
        assert kept is not None
        assert kept.completed_steps == ["gather", "look", "close"]
        await lab.replays(job_id)
        assert await sound(client, job_id)
        script.done.clear()
        await client.retry(job_id, gaps=True)
        better = await client.wait(job_id)
    assert script.done == ["paint", "frame"]
    assert better["status"] == "succeeded"
    assert "framed_digest" in parts_of(better)
    assert await filed(lab, job_id) is None


async def test_units_that_are_gaps_are_tried_again_and_nothing_else(
    lab: StepsLab, script: Script
) -> None:
    script.gaps.add("unit_1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        result = await client.process_job(job_id)
        assert [(gap["stage"], gap["unit_id"]) for gap in _gaps(result)] == [("look", "unit_1")]
        assert parts_of(result)["sum"] == 6
        script.gaps.clear()
        script.done.clear()
        await client.retry(job_id, gaps=True)
        better = await client.wait(job_id)
    # What is closed over changed with what was seen; what was painted did not.
    assert script.done == ["look", "unit_1", "close"]
    assert (better["status"], parts_of(better)["sum"]) == ("succeeded", 9)


async def test_gaps_of_later_steps_are_tried_where_those_of_an_earlier_one_last(
    lab: StepsLab, script: Script
) -> None:
    def gaps_of(result: JsonObject) -> list[object]:
        return [gap["unit_id"] for gap in _gaps(result)]

    script.gaps = {"unit_1", "close"}
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        assert gaps_of(await client.process_job(job_id)) == ["unit_1", "lid"]
        script.gaps = {"unit_1"}
        script.done.clear()
        await client.retry(job_id, gaps=True)
        assert gaps_of(await client.wait(job_id)) == ["unit_1"]
        assert script.done == ["look", "unit_1", "close"]
        # What has been mended is kept: only the gap that lasts is tried once more.
        script.done.clear()
        await client.retry(job_id, gaps=True)
        assert gaps_of(await client.wait(job_id)) == ["unit_1"]
        await lab.replays(job_id)
    assert script.done == ["look", "unit_1"]


def _gaps(result: JsonObject) -> list[dict[str, object]]:
    gaps = result["gaps"]
    assert isinstance(gaps, list)
    return gaps


async def test_an_error_that_may_pass_is_tried_again_and_is_in_the_checkpoint(
    lab: StepsLab, script: Script
) -> None:
    away = StorageUnavailableError("The store is away.", retry_after=0.1)
    script.fail("unit_1", away)
    gate = script.hold("close")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.start_job(job_id)
        await until(lambda: script.begun("close"), "the last step")
        middle = await mirrored(lab, job_id)
        assert middle.steps_summary["look"].attempt == 2
        assert middle.steps_summary["close"].status.value == "in_progress"
        view = await client.view(job_id)
        assert {str(stage.stage): stage.state for stage in view.stages} == {
            **dict.fromkeys(ALL[:4], "completed"),
            "close": "running",
        }
        gate.set()
        await client.wait(job_id)
    assert script.done[:7] == ["gather", "look", "unit_0", "unit_1", "look", "unit_1", "unit_2"]


@pytest.mark.parametrize("stop", ["pause", "cancel"])
async def test_a_run_that_is_stopped_goes_on_with_the_unit_it_stood_at(
    lab: StepsLab, script: Script, stop: str
) -> None:
    gate = script.hold("unit_1")
    path = lab.file()
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [path])
        await client.start_job(job_id)
        await until(lambda: script.begun("unit_1"), "a unit in flight")
        await (client.pause(job_id) if stop == "pause" else client.cancel(job_id))

        await until(script.told_to_stop, "the worker to be told")
        gate.set()
        ended = JobStatus.PAUSED if stop == "pause" else JobStatus.CANCELLED
        await becomes(client, job_id, ended)
        if stop == "cancel":
            assert (await statuses(lab, job_id))["look"] == "cancelled"
            assert (await filed(lab, job_id)) is not None
        await client.resume(job_id)
        result = await client.wait(job_id)
        await lab.replays(job_id)
    assert parts_of(result)["sum"] == 9
    assert script.done.count("gather") == 1
    assert [script.done.count(f"unit_{at}") for at in range(3)] == [1, 1, 1]
    assert path.exists()


async def test_other_records_and_another_folder_find_the_run_by_its_checkpoint(
    lab: StepsLab, script: Script, tmp_path: Path, temporal: Client, server: Settings
) -> None:
    script.fail("close", failure("There is no room to close."))
    path = lab.file()
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [path])
        with pytest.raises(JobFailedError):
            await client.process_job(job_id)
    before = await filed(lab, job_id)
    assert before is not None
    script.done.clear()
    elsewhere = open_steps_lab(
        tmp_path / "elsewhere", temporal, server, artifacts_url=lab.settings.artifact_store_url
    )
    async with elsewhere as other, other.working(), other.client() as client:
        assert await client.create_pipeline("scripted", [path]) == job_id
        result = await client.process_job(job_id)
        after = (await mirrored(other, job_id)).steps_summary
        assert await filed(other, job_id) is None
    assert script.done == ["close"]
    assert parts_of(result)["sum"] == 9
    assert after["look"].status.value == "skipped"
    assert after["look"].started_at == before.steps_summary["look"].started_at
    assert after["look"].metadata == before.steps_summary["look"].metadata


async def test_a_finished_job_is_made_afresh_only_where_that_is_said(
    lab: StepsLab, script: Script
) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        first = await client.process_job(job_id)
        script.done.clear()
        second = await client.process_job(job_id, resume_from_checkpoint=False)
    assert script.steps() == ALL
    assert parts_of(second) == parts_of(first)


async def _failed_once(lab: StepsLab, script: Script, **options: bool) -> str:
    script.fail("close", failure("There is no room to close."))
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()], **options)
        with pytest.raises(JobFailedError):
            await client.process_job(job_id)
    script.done.clear()
    return job_id


async def _spoil_artifact(lab: StepsLab, kept: StepCheckpoint) -> None:
    entry = kept.context["base"]
    assert isinstance(entry, dict)
    lab.services.artifacts.delete([str(entry["$artifact"])])


@pytest.mark.parametrize("strict", [False, True])
async def test_a_lost_artifact_is_explained_and_starts_afresh_or_fails(
    lab: StepsLab, script: Script, strict: bool
) -> None:
    job_id = await _failed_once(lab, script, strict_resume=strict)
    kept = await filed(lab, job_id)
    assert kept is not None
    await _spoil_artifact(lab, kept)
    async with lab.working(), lab.client() as client:
        if strict:
            with pytest.raises(JobFailedError, match=r"base of the step gather.*strict-resume"):
                await client.process_job(job_id)
            assert script.done == []
            return
        result = await client.process_job(job_id)
    assert script.steps() == ALL
    assert parts_of(result)["sum"] == 9
    [notice] = (await mirrored(lab, job_id)).stope.notices
    assert "base of the step gather" in notice
    assert "starts afresh" in notice


async def _apart(lab: StepsLab, job_id: str, step: str) -> str:
    """The digest of what a step stored and only names."""
    return str((await mirrored(lab, job_id)).steps_summary[step].metadata["apart"])


@pytest.mark.parametrize("whole", [True, False], ids=["its list", "one of them"])
async def test_a_lost_artifact_that_a_step_only_names_starts_afresh(
    lab: StepsLab, script: Script, whole: bool
) -> None:
    job_id = await _failed_once(lab, script)
    kept = await filed(lab, job_id)
    assert kept is not None
    lost = kept.stope.uses["gather"] if whole else await _apart(lab, job_id, "gather")
    lab.services.artifacts.delete([lost])
    async with lab.working(), lab.client() as client:
        result = await client.process_job(job_id)
    assert script.steps() == ALL
    assert parts_of(result)["sum"] == 9
    [notice] = (await mirrored(lab, job_id)).stope.notices
    assert "the step gather names" in notice
    assert lost in notice


async def test_a_finished_job_is_of_one_version_and_the_next_is_another_job(
    lab: StepsLab, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab.file()
    async with lab.working(), lab.client() as client:
        first = await client.create_pipeline("scripted", [path])
        await client.process_job(first)
    script.done.clear()
    monkeypatch.setattr(scripted_steps, "PIPELINE", replace(PIPELINE, version=2))
    async with lab.working(), lab.client() as client:
        second = await client.create_pipeline("scripted", [path])
        assert second != first
        await client.process_job(second)
        assert script.steps() == ALL
        script.done.clear()
        await client.process_job(await client.create_pipeline("scripted", [path]))
        assert script.done == []
    ours = [await lab.services.jobs.get(job_id) for job_id in (first, second)]
    assert run_guid_of(ours[0]) == run_guid_of(ours[1])


@pytest.mark.parametrize("strict", [False, True])
async def test_another_version_is_explained_and_starts_afresh_or_fails(
    lab: StepsLab, script: Script, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await _failed_once(lab, script, strict_resume=strict)
    monkeypatch.setattr(scripted_steps, "PIPELINE", replace(PIPELINE, version=2))
    async with lab.working(), lab.client() as client:
        if strict:
            with pytest.raises(JobFailedError, match="version 1 of the pipeline, which is 2 now"):
                await client.process_job(job_id)
            assert script.done == []
        else:
            await client.process_job(job_id)
            assert script.steps() == ALL
            assert "which is 2 now" in (await mirrored(lab, job_id)).stope.notices[0]


@pytest.mark.parametrize("body", [b"{", b"[1]"])
async def test_a_file_that_is_no_checkpoint_starts_afresh(
    lab: StepsLab, script: Script, body: bytes
) -> None:
    job_id = await _failed_once(lab, script)
    guid = run_guid_of(await lab.services.jobs.get(job_id))
    await lab.services.artifacts.write_named(f"runs/{guid}/checkpoint.json", body)
    async with lab.working(), lab.client() as client:
        await client.process_job(job_id)
    assert script.steps() == ALL
    assert "none that this version can read" in (await mirrored(lab, job_id)).stope.notices[0]


async def test_a_run_id_of_ones_own_is_another_run_of_the_same_request(
    lab: StepsLab, script: Script
) -> None:
    path = lab.file()
    async with lab.working(), lab.client() as client:
        derived = await client.create_pipeline("scripted", [path], keep_checkpoint=True)
        named = await client.create_pipeline(
            "scripted", [path], run_guid="nightly-7", keep_checkpoint=True
        )
        assert derived != named
        await client.process_job(derived)
        await client.process_job(named)
    # The steps are the same by content, so they were done once.
    assert script.steps() == ALL
    assert await lab.kept("nightly-7") is not None
    assert (await mirrored(lab, named)).run_guid == "nightly-7"


class ScriptedStorage(ArtifactStore):
    """A store that is away while it is told so."""

    away: frozenset[str] = frozenset()
    asked: int = 0

    def _refuse(self, what: str) -> None:
        if what in type(self).away:
            type(self).asked += 1
            raise StorageUnavailableError("The store cannot be reached; it is away.")

    async def read_named(self, path: str) -> bytes | None:
        self._refuse("read_named")
        return await super().read_named(path)

    async def write_named(self, path: str, data: bytes, *, may: May | None = None) -> None:
        self._refuse("write_named")
        await super().write_named(path, data, may=may)

    async def delete_named(self, path: str) -> None:
        self._refuse("delete_named")
        await super().delete_named(path)

    async def get(self, digest: str, name: str = "") -> bytes:
        self._refuse("get")
        return await super().get(digest, name)

    async def put(self, data: bytes, name: str = "", *, durable: bool = False) -> str:
        self._refuse("put")
        return await super().put(data, name, durable=durable)


@pytest.fixture
def storage(lab: StepsLab, monkeypatch: pytest.MonkeyPatch) -> type[ScriptedStorage]:
    """The lab's store, which can be taken away."""
    monkeypatch.setattr(ScriptedStorage, "away", frozenset())
    monkeypatch.setattr(ScriptedStorage, "asked", 0)
    lab.services = replace(lab.services, artifacts=ScriptedStorage(lab.settings.artifact_store_url))
    return ScriptedStorage


async def test_a_checkpoint_that_cannot_be_written_warns_and_the_work_goes_on(
    lab: StepsLab,
    script: Script,
    storage: type[ScriptedStorage],
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage.away = frozenset({"write_named", "delete_named"})
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        result = await client.process_job(job_id)
    assert result["status"] == "succeeded"
    assert "was not written; work goes on" in caplog.text
    assert (await mirrored(lab, job_id)).completed_steps == ALL


async def test_a_store_that_is_away_is_waited_for_and_is_no_fresh_start(
    lab: StepsLab, script: Script, storage: type[ScriptedStorage]
) -> None:
    job_id = await _failed_once(lab, script)
    storage.away = frozenset({"read_named"})

    async def asked() -> bool:
        return storage.asked >= 2

    async with lab.working(), lab.client() as client:
        await client.start_job(job_id)
        await until(asked, "the checkpoint to be asked for twice")

        async def told() -> bool:
            stages = (await client.view(job_id)).stages
            return any("it is away" in (stage.waiting or "") for stage in stages)

        await until(told, "people to be told what is waited for")
        assert script.done == []
        storage.away = frozenset()
        result = await client.wait(job_id)
    assert script.done == ["close"]
    assert parts_of(result)["sum"] == 9


async def test_a_store_that_goes_away_in_the_middle_is_waited_for(
    lab: StepsLab, script: Script, storage: type[ScriptedStorage]
) -> None:
    gate = script.hold("paint")

    async def asked() -> bool:
        return storage.asked >= 1 and script.done.count("paint") >= 1

    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.start_job(job_id)
        await until(lambda: script.begun("paint"), "a step at work")
        storage.away = frozenset({"put", "get", "read_named", "write_named", "delete_named"})
        gate.set()
        await until(asked, "the store to be missed")
        storage.away = frozenset()
        result = await client.wait(job_id)
    assert result["status"] == "succeeded"
    assert script.done.count("gather") == script.done.count("close") == 1
    assert [script.done.count(f"unit_{at}") for at in range(3)] == [1, 1, 1]


async def test_the_records_of_a_run_agree_and_make_its_mirror_again(
    lab: StepsLab, script: Script
) -> None:
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.process_job(job_id)
        before = await mirrored(lab, job_id)
        assert await sound(client, job_id)
        run = await lab.services.jobs.last_run(job_id)
        assert run is not None
        await lab.services.jobs.save_checkpoint(run.run_id, {"torn": True})
        assert not await sound(client, job_id)
        await client.verify(job_id, rebuild=True)
        after = await mirrored(lab, job_id)
    assert after.model_dump(exclude={"stope"}) == before.model_dump(exclude={"stope"})


async def test_the_page_of_a_run_has_a_row_for_each_step(lab: StepsLab, script: Script) -> None:
    script.fail("paint", failure("The paint is dry."))
    gate = script.hold("close")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.start_job(job_id)
        await until(lambda: script.begun("close"), "the last step")
        handle = lab.temporal.get_workflow_handle(job_id)
        description = await handle.describe()
        assert await description.static_summary() == "scripted of input.bin"
        text = str(await handle.query("__temporal_workflow_metadata"))
        for name in ALL:
            assert name in text
        gate.set()
        await client.wait(job_id)
        description = await handle.describe()
        attributes = description.typed_search_attributes
    values = {pair.key.name: pair.value for pair in attributes}
    assert values["StopeJobType"] == "scripted"
    assert (values["StopeStage"], values["StopeProgress"]) == ("completed", 100)
    assert values["StopeGaps"] == 2


async def test_a_step_pipeline_is_not_created_as_a_plain_job(lab: StepsLab) -> None:
    async with lab.client() as client:
        with pytest.raises(UsageError, match="create_pipeline"):
            await client.create_job(JobType.STEPS, lab.file())
        with pytest.raises(UsageError, match=r"no pipeline 'strange' here; known: .*scripted"):
            await client.create_pipeline("strange", [lab.file()])
        with pytest.raises(UsageError, match="cannot be used"):
            await client.create_pipeline("scripted", [lab.file()], {"scale": "many"})
        with pytest.raises(UsageError, match="run's id"):
            await client.create_pipeline("scripted", [lab.file()], run_guid="../up")


async def _waiting_run(lab: StepsLab) -> tuple[Job, JobRun]:
    async with lab.client() as client:
        job = await client.job(await client.create_pipeline("scripted", [lab.file()]))
        run_id = await client.create_job_run(job.id)
    return job, await lab.services.jobs.get_run(run_id)


async def test_an_attempt_that_was_taken_for_dead_writes_no_checkpoint(lab: StepsLab) -> None:
    job, run = await _waiting_run(lab)
    jobs, artifacts = lab.services.jobs, lab.services.artifacts

    def checkpoint(notice: str) -> StepCheckpoint:
        return checkpoint_of(job, run, PIPELINE.definition, {}, keys={}, notices=[notice])

    older = CheckpointFile(artifacts, jobs, run)
    await older.write(checkpoint("older"))
    newer = CheckpointFile(artifacts, jobs, await jobs.get_run(run.run_id))
    await newer.write(checkpoint("newer"))
    await older.write(checkpoint("older, and late"))
    found = await filed(lab, job.id)
    assert found is not None
    assert found.stope.notices == ("newer",)
    await artifacts.delete_named(f"runs/{found.run_guid}/checkpoint.json")
    await older.write(checkpoint("older, after the end"))
    assert await filed(lab, job.id) is None


async def test_a_checkpoint_that_is_not_on_its_run_is_not_in_its_folder_either(
    lab: StepsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, run = await _waiting_run(lab)
    file = CheckpointFile(lab.services.artifacts, lab.services.jobs, run)
    checkpoint = checkpoint_of(job, run, PIPELINE.definition, {}, keys={})

    async def busy(*_args: object, **_options: object) -> bool:
        raise RecordsBusyError("The records are locked.")

    with monkeypatch.context() as patch:
        patch.setattr(JobRecords, "write_checkpoint", busy)
        # The next one on the run may have its number, and would not replace it.
        await file.write(checkpoint)
        assert await filed(lab, job.id) is None
    await file.write(checkpoint)
    assert (await filed(lab, job.id)) == await mirrored(lab, job.id)


async def test_a_store_that_does_not_answer_holds_no_checkpoint_up(
    lab: StepsLab,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    place = open_place("s3", request, monkeypatch, tmp_path)
    assert place.door is not None
    job, run = await _waiting_run(lab)
    monkeypatch.setattr(checkpoint_module, "FILE_SECONDS", 0.01)
    artifacts = ArtifactStore(place.url)
    file = CheckpointFile(artifacts, lab.services.jobs, run)
    path = checkpoint_path(run_guid_of(job))
    # The server takes requests, and answers none.
    place.door.mode = Mode.STALLED
    for number in range(3):
        notices = [f"number {number}"]
        await file.write(checkpoint_of(job, run, PIPELINE.definition, {}, keys={}, notices=notices))
        assert caplog.text.count("the store does not answer") == number + 1
        assert (await mirrored(lab, job.id)).stope.notices == tuple(notices)
    await until(lambda: _asked(place.door), "a request")
    place.door.mode = Mode.OPEN
    place.door.break_off()

    async def written() -> bool:
        return b"number 2" in (await artifacts.read_named(path) or b"")

    await until(written, "the newest checkpoint", 30)


async def _asked(door: Door | None) -> bool:
    return door is not None and door.let_in > 0


async def _clear_out(lab: StepsLab) -> None:
    """As it is done in a year, when only the newest run of a job is kept."""
    in_a_year = datetime.now(UTC) + timedelta(days=400)
    await collect_garbage(
        lab.services.database,
        lab.services.artifacts,
        lab.settings.scratch,
        KeepPolicy(keep_days=1, keep_runs=1),
        in_a_year,
    )


async def test_clearing_out_leaves_what_a_run_needs(lab: StepsLab, script: Script) -> None:
    job_id = await _failed_once(lab, script)
    await _clear_out(lab)
    async with lab.working(), lab.client() as client:
        result = await client.process_job(job_id)
        assert script.done == ["close"]
        await _clear_out(lab)
        assert await sound(client, job_id)
        assert await lab.services.artifacts.exists(str(parts_of(result)["framed_digest"]))


async def test_clearing_out_leaves_what_records_that_were_read_back_name(
    lab: StepsLab, script: Script
) -> None:
    script.gaps.add("unit_1")
    async with lab.working(), lab.client() as client:
        job_id = await client.create_pipeline("scripted", [lab.file()])
        await client.process_job(job_id)
        script.done.clear()
        # The gap lasts: what comes before it is kept, and what comes after it is read back.
        await client.retry(job_id, gaps=True)
        await client.wait(job_id)
        assert script.done == ["look", "unit_1"]
        assert len(await client.runs(job_id)) == 2
        await _clear_out(lab)
        assert len(await client.runs(job_id)) == 1
    for step in ("gather", "close"):
        assert await lab.services.artifacts.exists(await _apart(lab, job_id, step))


async def test_what_a_checkpoint_of_other_records_names_is_noted_where_it_is_taken_over(
    lab: StepsLab, script: Script, tmp_path: Path, temporal: Client, server: Settings
) -> None:
    job_id = await _failed_once(lab, script)
    elsewhere = open_steps_lab(
        tmp_path / "elsewhere", temporal, server, artifacts_url=lab.settings.artifact_store_url
    )
    async with elsewhere as other, other.working(), other.client() as client:
        await client.create_pipeline("scripted", [lab.home / "input.bin"])
        await client.process_job(job_id)
        assert script.done == ["close"]
        run = await other.services.jobs.last_run(job_id)
        assert run is not None
        noted = await RunUses(other.services.database).of_run(run.run_id, ARTIFACT)
        assert await _apart(other, job_id, "gather") in {use.key for use in noted}
