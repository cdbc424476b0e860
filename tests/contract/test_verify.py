"""A job is what its records say, or it is said what differs; a mirror comes back from the units.

All five job types, by the activities of a worker, with scripted engines and no server.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text, update
from temporalio.testing import ActivityEnvironment

from activities.flagship import FlagshipActivities
from activities.mine import MineActivities
from activities.runs import RunActivities
from activities.services import Services, open_services
from activities.transcribe import TranscribeActivities
from activities.upload import UploadActivities
from client import JobClient
from stope.embedding.scripted import WordEmbedder
from stope.engines import Engines
from stope.errors import RecordsError
from stope.flagship.exam import MATTERS
from stope.identity import digest_file
from stope.llm.chat import ChatModel, ChatRequest
from stope.llm.scripted import Reply, ScriptedChatModel
from stope.models.job import JobStatus, JobType, JsonObject
from stope.models.messages import FailRun, OpenRun, OpenStage, SaveStage, StageRequest
from stope.models.verification import Verification
from stope.records import schema
from stope.records.mirrors import Mirrors
from stope.settings import Settings
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.transcriber import Transcriber
from tests.builders import kinds_reply, named_json

TALK = (
    "The river rose by nine metres in 1910. Do you know why? The sewers let the water in. "
    "Bees pollinate a third of our crops. Every hive needs water in spring. "
    "Glass is made of sand and soda. The furnace burns at fifteen hundred degrees. "
) * 2
TYPES = ["transcribe", "mine", "flagship", "upload", "pipeline"]


class ScriptedEngines(Engines):
    """Engines that answer by rules, for every name."""

    async def transcriber(self, name: str) -> Transcriber:
        return ScriptedTranscriber()

    async def chat(self, name: str) -> ChatModel:
        return ScriptedChatModel(_reply, identity=name)

    async def embedder(self) -> Any:
        return WordEmbedder()


def _reply(request: ChatRequest) -> Reply:
    if request.schema_name == "sentence_kinds":
        return kinds_reply(request, lambda said: "question" if said.endswith("?") else "factual")
    if request.schema_name == "named_things":
        return named_json()
    shown = request.messages[1].content.split("\n</claims>")[0].split("\n")[1:]
    lines = dict(line.split(": ", 1) for line in shown if ": " in line)
    if request.schema_name == "exam":
        return json.dumps(
            {name: "222" if said in MATTERS else "000" for name, said in lines.items()}
        )
    if request.schema_name == "judge":
        return json.dumps(dict.fromkeys(lines, "222"))
    if request.schema_name == "summary":
        return json.dumps({"short": lines["1"], "long": list(lines.values())[:3]})
    return "{}"


class Works:
    """A home whose jobs are done by the activities themselves."""

    def __init__(self, services: Services, folder: Path, recording: Path) -> None:
        self.services = services
        self.client = JobClient(services.settings)
        self.folder = folder
        self.recording = recording
        runs = RunActivities(services)
        self._runs = runs
        self._stages = {
            JobType.TRANSCRIBE: TranscribeActivities(services).transcribe_audio,
            JobType.MINE: MineActivities(services).mine_transcript,
            JobType.FLAGSHIP: FlagshipActivities(services).evaluate_claims,
            JobType.UPLOAD: UploadActivities(services).upload_knowledge,
        }

    async def job(self, kind: str) -> str:
        """A job of a type that has not begun; those it starts from are done."""
        source: str | Path = self.recording
        config = {"diarize": "off", "selection": "asked", "segment_tokens": 50}
        if kind in ("mine", "pipeline"):
            source = self.folder / "talk.txt"
            source.write_text(TALK)
        if kind == "flagship":
            source = await self.done("mine")
        if kind == "upload":
            source = await self.done("flagship")
            config["upload_to"] = str(self.folder / "place")
        return await self.client.create_job(kind, source, config)

    async def done(self, kind: str) -> str:
        job_id = await self.job(kind)
        await self.run(job_id)
        assert (await self.client.job(job_id)).status is JobStatus.SUCCEEDED
        return job_id

    async def run(self, job_id: str) -> str:
        job, run_id = await self.client.job(job_id), uuid.uuid4().hex
        opened = await self._do(
            self._runs.open_run, OpenRun(job_id=job_id, run_id=run_id, workflow_id=job_id)
        )
        request = StageRequest(job_id=job_id, run_id=run_id)
        if job.type is not JobType.PIPELINE:
            await self._do(self._stages[job.type], request)
            return run_id
        for stage in opened.stages:
            one = await self._do(self._runs.open_stage, OpenStage(pipeline_id=job_id, stage=stage))
            if one.done is None:
                await self.run(one.job_id)
            await self._do(
                self._runs.save_stage,
                SaveStage(run_id=run_id, stage=stage, stage_job_id=one.job_id),
            )
        await self._do(self._runs.close_pipeline, request)
        return run_id

    async def fail(self, job_id: str) -> None:
        """The newest run, which has its result, is one that failed in the middle."""
        run = await self.client.runs(job_id)
        database = self.services.database
        await database.write(
            update(schema.job)
            .values(status="running", result_json=None)
            .where(schema.job.c.id == job_id),
            update(schema.job_run)
            .values(status="running")
            .where(schema.job_run.c.run_id == run[-1].run_id),
        )
        await self._do(
            self._runs.fail_run,
            FailRun(
                run_id=run[-1].run_id, status=JobStatus.FAILED, code="Trouble", message="It broke."
            ),
        )

    async def verify(self, job_id: str, *, rebuild: bool = False) -> list[Verification]:
        return await self.client.verify(job_id, rebuild=rebuild)

    async def wrong(self, job_id: str) -> list[str]:
        return [
            f"{finding.about}: {finding.text}"
            for found in await self.verify(job_id)
            for finding in found.findings
            if finding.wrong
        ]

    async def mirror(self, job_id: str) -> JsonObject:
        """The documented part of the mirror, and its version."""
        stored = await Mirrors(self.services.database).newest(job_id)
        assert stored is not None
        assert stored.body is not None
        meta = stored.body["stope"]
        assert isinstance(meta, dict)
        assert meta["version"] == stored.version
        return {name: value for name, value in stored.body.items() if name != "stope"} | {
            "version": stored.version
        }

    async def set_mirror(self, job_id: str, body: str | None) -> None:
        async with self.services.database.writing() as connection:
            await connection.execute(
                text("UPDATE job_run SET checkpoint_json = :body WHERE job_id = :job"),
                {"body": body, "job": job_id},
            )

    async def _do(self, function: Any, argument: object) -> Any:
        return await ActivityEnvironment().run(function, argument)


@pytest.fixture
async def works(migrated_url: str, tmp_path: Path, interview: Path) -> AsyncIterator[Works]:
    settings = Settings(
        home=tmp_path / "home",
        database_url=migrated_url,
        llm="openai:scripted",
        temporal_address="127.0.0.1:1",
    )
    services = await open_services(settings)
    object.__setattr__(services, "engines", ScriptedEngines(settings))
    works = Works(services, tmp_path, interview)
    yield works
    await works.client.close()
    await services.close()


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a Temporal server that is not there."""
    monkeypatch.setattr("jobs.connection._CONNECT_SECONDS", 0.0)


@pytest.mark.parametrize("kind", TYPES)
async def test_a_finished_job_is_sound_and_everything_of_it_was_looked_at(
    works: Works, kind: str
) -> None:
    job_id = await works.done(kind)
    before = await works.mirror(job_id)
    found = await works.verify(job_id, rebuild=True)
    assert await works.wrong(job_id) == []
    assert not any(one.rebuilt for one in found)
    assert await works.mirror(job_id) == before
    assert [one.job_id.split("-")[0] for one in found[1:]] == (
        ["mine", "flagship"] if kind == "pipeline" else []
    )
    for one in found:
        if not one.job_id.startswith("pipeline"):
            assert one.checked["units"] > 0
            assert one.checked["plans"] > 0
    # Temporal does not answer here, which is said.
    notes = [finding for one in found for finding in one.findings if finding.about == "temporal"]
    assert len(notes) == len(found)


GARBAGE = ["null", "[1, 2]", '"x"', "{}"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((kind, body) for kind in TYPES for body in (None, '{"stage": "lost"}')),
        *(("mine", body) for body in GARBAGE),
    ],
)
async def test_a_mirror_that_is_lost_comes_back_and_its_version_only_grows(
    works: Works, kind: str, body: str | None
) -> None:
    job_id = await works.done(kind)
    before = await works.mirror(job_id)
    await works.set_mirror(job_id, body)
    assert await works.wrong(job_id)
    found = await works.verify(job_id, rebuild=True)
    assert found[0].rebuilt
    assert found[0].sound
    after = await works.mirror(job_id)
    assert after.pop("version") > before.pop("version")  # type: ignore[operator]  # numbers
    assert after == before


@pytest.mark.parametrize("kind", ["transcribe", "mine", "flagship", "upload"])
async def test_the_mirror_of_a_failed_run_comes_back_with_its_error(
    works: Works, kind: str
) -> None:
    job_id = await works.done(kind)
    await works.fail(job_id)
    await works.set_mirror(job_id, None)
    found = await works.verify(job_id, rebuild=True)
    assert found[0].rebuilt
    assert found[0].sound
    mirror = await works.client.checkpoint(job_id)
    assert mirror is not None
    assert mirror["stage"] == "failed"
    assert mirror["final_result"] is None
    meta = mirror["stope"]
    assert isinstance(meta, dict)
    assert meta["error"]["message"] == "It broke."
    lists = {
        "mine": "completed_segments",
        "flagship": "completed_claims",
        "upload": "completed_items",
    }
    assert mirror[lists.get(kind, "transcript_text")]


async def test_a_mirror_that_is_no_json_comes_back(works: Works, engine: str) -> None:
    job_id = await works.done("mine")
    if engine == "postgresql":
        # It lets nobody store what is no JSON; a number is as bad.
        await works.set_mirror(job_id, "7")
    else:
        await works.set_mirror(job_id, '{"stage": "mini')
    assert any("no JSON object" in line for line in await works.wrong(job_id))
    assert (await works.verify(job_id, rebuild=True))[0].rebuilt
    assert await works.wrong(job_id) == []


async def test_a_mirror_ahead_of_the_units_is_wrong_and_one_behind_them_is_not(
    works: Works,
) -> None:
    job_id = await works.done("mine")
    await works.fail(job_id)
    mirror = await works.client.checkpoint(job_id)
    assert mirror is not None
    mirror["final_result"] = None
    segments = mirror["completed_segments"]
    assert isinstance(segments, list)
    await works.set_mirror(job_id, json.dumps(mirror | {"completed_segments": segments[:1]}))
    [found] = await works.verify(job_id)
    assert found.sound
    assert any("behind" in finding.text for finding in found.findings)
    await works.set_mirror(
        job_id, json.dumps(mirror | {"completed_segments": [*segments, "seg_9999"]})
    )
    assert await works.wrong(job_id) == [
        "mirror: completed_segments has seg_9999, which nothing committed bears out"
    ]
    assert (await works.verify(job_id, rebuild=True))[0].rebuilt
    assert (await works.mirror(job_id))["completed_segments"] == segments


async def test_lost_units_plans_artifacts_and_rows_are_named(works: Works) -> None:
    job_id = await works.done("mine")
    database = works.services.database
    lost = "SELECT key FROM run_use WHERE name = 'seg_0001'"
    async with database.writing() as connection:
        await connection.execute(text(f"DELETE FROM unit WHERE key IN ({lost})"))  # noqa: S608  (ours)
        await connection.execute(
            text(
                "UPDATE unit SET output = :bad WHERE key IN "
                "(SELECT key FROM run_use WHERE name = 'seg_0002.names')"
            ),
            {"bad": b"\x28\xb5\x2f\xfd damaged"},
        )
        await connection.execute(delete(schema.plan))
    async with database.writing() as connection:
        await connection.execute(delete(schema.evidence).where(schema.evidence.c.number == 0))
    job = await works.client.job(job_id)
    assert job.result is not None
    parts = job.result["result"]
    assert isinstance(parts, dict)
    _overwrite(str(parts["claims_path"]))
    lines = await works.wrong(job_id)
    assert "units: seg_0001 has no committed output and is no gap" in lines
    for what in ("units: seg_0002.names: The unit", "plans: the SegmentPlan", "artifacts: The"):
        assert [line for line in lines if line.startswith(what)]


async def test_a_mirror_that_cannot_be_made_again_is_left_as_it_is(works: Works) -> None:
    job_id = await works.done("flagship")
    digest = (await works.client.job(job_id)).input.digest
    works.services.artifacts.delete([digest])
    await works.set_mirror(job_id, None)
    with pytest.raises(RecordsError, match=r"cannot be made again: .* is gone"):
        await works.verify(job_id, rebuild=True)
    stored = await Mirrors(works.services.database).newest(job_id)
    assert stored is not None
    assert stored.body is None


async def test_a_mirror_of_garbage_is_said_and_hides_no_run(works: Works, engine: str) -> None:
    job_id = await works.done("mine")
    # PostgreSQL takes no text that is not JSON.
    await works.set_mirror(job_id, "{broken" if engine == "sqlite" else "[1, 2]")
    [run] = await works.client.runs(job_id)
    assert (run.checkpoint, await works.client.checkpoint(job_id)) == (None, None)
    assert await works.wrong(job_id) == ["mirror: the checkpoint is no JSON object"]
    assert (await works.verify(job_id, rebuild=True))[0].rebuilt
    assert (await works.client.checkpoint(job_id) or {})["stage"] == "completed"


async def test_rows_that_are_missing_are_counted(works: Works) -> None:
    job_id = await works.done("flagship")
    await works.services.database.write(delete(schema.verdict))
    assert [line for line in await works.wrong(job_id) if "0 verdict rows" in line]


async def test_a_recording_is_no_artifact(works: Works) -> None:
    job_id = await works.done("transcribe")
    assert digest_file(works.recording) in (await works.client.job(job_id)).input.digest
    assert await works.wrong(job_id) == []


def _overwrite(uri: str) -> None:
    Path(uri.removeprefix("file://")).write_bytes(b"{}")
