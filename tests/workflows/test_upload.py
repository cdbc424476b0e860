"""Uploads on a real Temporal server, with real records: resumed by item, repeated, refused.

The destination is a folder, or a scripted one that fails in the middle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from activities.runs import RunActivities
from activities.services import Services, open_services
from activities.upload import UploadActivities
from client import JobClient, JobFailedError
from stope import names
from stope.errors import DestinationUnavailableError, InputError, ItemRefusedError
from stope.identity import digest_bytes
from stope.models.claim import Evidence
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.records.receipts import UploadReceipts
from stope.settings import Settings
from stope.upload import patience
from stope.upload.destination import Destination
from stope.upload.scripted import ScriptedDestination
from tests.documents import TALK, make_claim, make_quote
from tests.receiver import KEY, Raw, receiving
from tests.waiting import until
from tests.workflows.lab import Lab, open_lab
from worker import WORKFLOWS

FLAGSHIP = "flagship-0000000000000001"
QUOTES: tuple[Evidence, ...] = (make_quote("Roofs lose most heat.", 0, 4),)


@pytest.fixture
def settings(server: Settings, tmp_path: Path) -> Settings:
    """Records and artifacts of its own; the server is shared."""
    return server.model_copy(update={"home": tmp_path / "home", "upload_hmac_key": SecretStr(KEY)})


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    settings.home.mkdir()
    found = await open_services(settings)
    yield found
    await found.close()


@pytest.fixture
async def client(
    settings: Settings, services: Services, temporal: Client
) -> AsyncIterator[JobClient]:
    async with JobClient(settings, temporal) as found:
        yield found


@pytest.fixture
async def knowledge(services: Services) -> str:
    """The digest of stored knowledge; a finished flagship job gave it."""
    transcript = await services.artifacts.put_model(TALK)
    claims = await services.artifacts.put_model(
        MinedClaims(transcript_digest=transcript, model="m", segments=1, claims=())
    )
    digest = await services.artifacts.put_model(
        Knowledge(
            transcript_digest=transcript,
            miner_model="m",
            flagship_model="f",
            claims=(make_claim(1, "Roofs lose heat", *QUOTES),),
        )
    )
    parts: dict[str, object] = {"knowledge_digest": digest, "transcript_digest": transcript}
    await finished_job(services, FLAGSHIP, JobType.FLAGSHIP, parts, claims)
    return digest


async def finished_job(
    services: Services,
    job_id: str,
    kind: JobType,
    parts: dict[str, object] | None,
    claims: str = "c" * 64,
) -> None:
    """A job with a result, or (None) without one yet."""
    run_id = f"run-of-{job_id}"
    source = JobInput(kind=InputKind.CLAIMS, digest=claims, path="memory://")
    await services.jobs.create(
        Job(
            id=job_id,
            type=kind,
            input=source,
            config=JobConfig(),
            status=JobStatus.QUEUED,
            created_at=datetime(2030, 1, 1, tzinfo=UTC),
        )
    )
    if parts is None:
        return
    run = await services.jobs.begin_run(job_id, run_id, job_id)
    result: JsonObject = {"status": "succeeded", "output_id": "out", "result": parts}
    await services.jobs.finish_run(run.run_id, JobStatus.SUCCEEDED, result=result)


@asynccontextmanager
async def serving(
    temporal: Client,
    services: Services,
    open_place: Callable[[str], Destination] | None = None,
) -> AsyncIterator[None]:
    """An uncached worker that uploads: every workflow task replays the whole history."""
    runs = RunActivities(services)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            Worker(
                temporal,
                task_queue=names.ORCHESTRATION_QUEUE,
                workflows=WORKFLOWS,
                activities=[
                    runs.open_run,
                    runs.fail_run,
                    UploadActivities(services, open_place).upload_knowledge,
                ],
                max_cached_workflows=0,
            )
        )
        yield


async def replay(temporal: Client, workflow_id: str) -> None:
    history = await temporal.get_workflow_handle(workflow_id).fetch_history()
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


async def checkpoint_of(client: JobClient, upload: Job) -> dict[str, Any]:
    """The mirrored checkpoint of an upload's newest run."""
    found = await client.checkpoint(upload.id)
    assert found is not None
    return found


def digests_in(folder: Path) -> dict[str, str]:
    """The files below a folder with the digest of each."""
    return {
        path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_a_finished_job_is_published_to_a_folder_and_a_repeat_sends_nothing(
    client: JobClient, temporal: Client, services: Services, knowledge: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    upload = await client.create_upload(FLAGSHIP, str(place))
    assert upload.input == JobInput(
        kind=InputKind.KNOWLEDGE, digest=knowledge, path=services.artifacts.uri(knowledge)
    )
    async with serving(temporal, services):
        await client.start_upload(upload.id)
        result: Any = await client.wait(upload.id)
        parts = result["result"]
        found = digests_in(place)
        assert len(found) == parts["items"] == parts["items_verified"]
        receipts = await UploadReceipts(services.database).at(place.as_uri())
        assert {receipt.item_id: receipt.digest for receipt in receipts} == found
        # The job answers from its result; who asks for an upload has the place looked at again.
        assert await client.process_job(upload.id) == result
        assert len(await client.runs(upload.id)) == 1
        (place / receipts[0].item_id).unlink()
        (place / receipts[1].item_id).write_bytes(b"edited by hand")
        await client.start_upload(upload.id)
        assert await client.wait(upload.id) == result
        await client.start_upload(upload.id, resume_from_checkpoint=False)
        assert await client.wait(upload.id) == result
    assert digests_in(place) == found
    first, second, forced = [run.metrics or {} for run in await client.runs(upload.id)]
    assert (first["items_uploaded"], first["items_repaired"]) == (len(found), 0)
    assert (second["units_reused"], second["units_done"]) == (len(found), 0)
    assert (second["items_uploaded"], second["items_repaired"]) == (2, 2)
    # Asked to, it puts everything again; the folder has these very bytes, and writes none.
    assert (forced["units_done"], forced["items_uploaded"]) == (len(found), 0)
    await replay(temporal, upload.id)


async def test_names_of_speakers_reach_a_place_that_had_none(
    client: JobClient, temporal: Client, services: Services, knowledge: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    upload = await client.create_upload(FLAGSHIP, str(place))
    file = place / f"knowledge-{knowledge[:16]}" / "transcript.txt"
    async with serving(temporal, services):
        await client.start_upload(upload.id)
        await client.wait(upload.id)
        assert file.read_text().startswith("ANN: Roofs")
        await client.rename_speakers(upload.id, {"ANN": "Ann Lee"})
        await client.start_upload(upload.id)
        await client.wait(upload.id)
    assert file.read_text().startswith("Ann Lee: Roofs")


@pytest.mark.usefixtures("knowledge")
async def test_a_place_that_comes_back_gets_the_rest_and_one_refused_item_is_a_gap(
    client: JobClient, temporal: Client, services: Services, tmp_path: Path
) -> None:
    away = DestinationUnavailableError("It does not answer.")
    place = ScriptedDestination(
        {"jargon.jsonl": [away, away], "claims.csv": [ItemRefusedError("No tables here.")]}
    )
    upload = await client.create_upload(FLAGSHIP, str(tmp_path / "place"))
    async with serving(temporal, services, lambda _url: place):
        await client.start_upload(upload.id)
        result: Any = await client.wait(upload.id)
    # Every item went once; but for the one that waited for the place to come back.
    sent = {name.rpartition("/")[2]: place.puts.count(name) for name in place.puts}
    assert {name: count for name, count in sent.items() if count != 1} == {"jargon.jsonl": 3}
    assert result["status"] == "succeeded_with_gaps"
    assert [(gap["unit_id"], gap["reason"]) for gap in result["gaps"]] == [
        ("claims.csv", "No tables here.")
    ]
    checkpoint = await checkpoint_of(client, upload)
    assert checkpoint["stage"] == "completed"
    assert len(checkpoint["completed_items"]) == checkpoint["total_items"] - 1
    assert checkpoint["final_result"] == result
    await replay(temporal, upload.id)


@pytest.mark.usefixtures("knowledge")
async def test_an_endpoint_that_is_busy_is_waited_for_and_each_receipt_is_kept(
    client: JobClient, temporal: Client, services: Services
) -> None:
    busy = Raw(503, b"busy", {"Retry-After": "1"})
    with receiving() as receiver:
        receiver.script = [busy, Raw(200, b'{"items": [', cut=True), busy]
        receiver.judge = lambda item: (
            {"status": 422, "reason": "No tables here."} if item["name"] == "claims.csv" else None
        )
        upload = await client.create_upload(FLAGSHIP, receiver.url)
        async with serving(temporal, services):
            await client.start_upload(upload.id)
            result: Any = await client.wait(upload.id)
        assert receiver.script == []
        receipts = await UploadReceipts(services.database).at(receiver.url)
        assert {item.item_id: item.key for item in receipts} == {
            name: key for name, key in receiver.keys.items() if not name.endswith("claims.csv")
        }
        assert {item.status for item in receipts} == {201}
        assert set(receiver.sent.values()) == {1}
    assert result["status"] == "succeeded_with_gaps"
    [gap] = result["gaps"]
    assert gap["unit_id"] == "claims.csv"
    assert gap["reason"].endswith("(422): No tables here.")
    assert KEY not in (await temporal.get_workflow_handle(upload.id).fetch_history()).to_json()
    await replay(temporal, upload.id)


@pytest.mark.usefixtures("knowledge")
async def test_one_item_that_an_endpoint_always_fails_on_is_a_gap_that_is_retried_alone(
    client: JobClient, temporal: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.01,) * 4)
    with receiving() as receiver:
        # It is in one delivery with all others, and the last thing that is left to do.
        receiver.poison = '/claims.csv"'
        upload = await client.create_upload(FLAGSHIP, receiver.url)
        async with serving(temporal, services):
            await client.start_upload(upload.id)
            result: Any = await client.wait(upload.id)
            assert result["status"] == "succeeded_with_gaps"
            [gap] = result["gaps"]
            assert gap["unit_id"] == "claims.csv"
            assert "fails while others do not (5 times" in gap["reason"]
            assert "(500): out of order" in gap["reason"]
            assert len(receiver.kept) == result["result"]["items"] - 1
            # Once with all the others, and then by itself.
            assert receiver.poisoned == [len(receiver.kept) + 1, 1, 1, 1, 1]
            # When nothing was left to do, one that is there was put again to see whether that goes.
            assert len([count for count in receiver.sent.values() if count != 1]) <= 1

            receiver.sent.clear()
            await client.retry(upload.id, gaps=True)
            await until(partial(has_ended, client, upload, 2), "another run with that gap")
            assert len(receiver.poisoned) == 10
            # That it takes others is seen by giving it some that it has.
            assert len(receiver.sent) < len(receiver.kept)

            receiver.poison = None
            receiver.sent.clear()
            await client.retry(upload.id, gaps=True)
            done: Any = await client.wait(upload.id)
        assert done["status"] == "succeeded"
        [key] = receiver.sent
        assert receiver.keys[gap_id(receiver.kept, "claims.csv")] == key
    await replay(temporal, upload.id)


def gap_id(kept: Iterable[str], name: str) -> str:
    """The id of the item of a name."""
    [found] = [item_id for item_id in kept if item_id.endswith(f"/{name}")]
    return found


async def has_ended(client: JobClient, upload: Job, runs: int) -> bool:
    """Whether so many runs of an upload have a result."""
    return [run.status.has_result for run in await client.runs(upload.id)] == [True] * runs


async def test_a_pipeline_is_not_begun_for_a_destination_that_its_worker_cannot_enter(
    tmp_path: Path, temporal: Client, server: Settings
) -> None:
    async with open_lab(tmp_path, temporal, server) as lab, lab.client() as client:
        job_id = ""
        for url, said in (
            ("https://host.example/in", "STOPE_UPLOAD_HMAC_KEY"),
            ("postgresql://ann@db.example/news", r"STOPE_UPLOAD_HOSTS=db\.example"),
        ):
            give_settings(lab, upload_password=SecretStr("hush-hush"))
            job_id = await client.create_job("pipeline", lab.text(), {"upload_to": url})
            async with lab.working():
                with pytest.raises(JobFailedError, match=said):
                    await client.process_job(job_id)
            assert not any(script.done for script in lab.scripts.values())
            [run] = await client.runs(job_id)
            assert (run.status, run.error_code) == (JobStatus.FAILED, "DestinationRefused")
            assert "hush-hush" not in await lab.history(job_id)
            await lab.replays(job_id)
        # Once the worker has what it needs, the same job goes on.
        give_settings(lab, upload_password=SecretStr("hush-hush"), upload_hosts="db.example")
        async with lab.working():
            assert (await client.process_job(job_id))["status"] == "succeeded"
        assert lab.scripts[JobType.UPLOAD].done


def give_settings(lab: Lab, **settings: object) -> None:
    """What the lab's next workers have in their environment."""
    changed = lab.settings.model_copy(update=settings)
    lab.services = dataclasses.replace(lab.services, settings=changed)


@pytest.mark.usefixtures("knowledge")
async def test_another_worker_goes_on_with_the_items_that_are_left(
    client: JobClient, temporal: Client, services: Services, tmp_path: Path
) -> None:
    away = DestinationUnavailableError("It does not answer.")
    place = ScriptedDestination({"jargon.jsonl": [away] * 1_000})
    upload = await client.create_upload(FLAGSHIP, str(tmp_path / "place"))
    async with serving(temporal, services, lambda _url: place):
        await client.start_upload(upload.id)

        async def stuck() -> bool:
            return sum(name.endswith("jargon.jsonl") for name in place.puts) > 1

        await until(stuck, "a second try of the item that does not go")
    before = set(place.kept)
    checkpoint = await checkpoint_of(client, upload)
    # It may be a second behind what is there, and is never ahead of it.
    assert set(checkpoint["completed_items"]) <= {name.partition("/")[2] for name in before}
    assert 0 < len(before) < checkpoint["total_items"]
    rest = ScriptedDestination(url=place.url)
    rest.kept = dict(place.kept)
    async with serving(temporal, services, lambda _url: rest):
        result: Any = await client.wait(upload.id)
    assert result["status"] == "succeeded"
    assert not set(rest.puts) & before
    assert len(rest.kept) == result["result"]["items"]


@pytest.mark.usefixtures("knowledge")
async def test_a_place_that_cannot_be_written_fails_the_run_with_a_sentence(
    client: JobClient, temporal: Client, services: Services, tmp_path: Path
) -> None:
    (tmp_path / "place").write_text("a file of mine")
    upload = await client.create_upload(FLAGSHIP, str(tmp_path / "place"))
    async with serving(temporal, services):
        await client.start_upload(upload.id)
        with pytest.raises(JobFailedError, match="cannot be used as a destination"):
            await client.wait(upload.id)
    [run] = await client.runs(upload.id)
    assert (run.status, run.error_code) == (JobStatus.FAILED, "DestinationRefused")
    checkpoint = await checkpoint_of(client, upload)
    assert checkpoint["stage"] == "failed"
    assert checkpoint["total_items"] > 0
    assert (tmp_path / "place").read_text() == "a file of mine"


async def test_a_job_without_a_result_is_refused_before_anything_is_made(
    client: JobClient, services: Services, tmp_path: Path
) -> None:
    await finished_job(services, "mine-0000000000000001", JobType.MINE, None)
    with pytest.raises(InputError, match="has no result yet"):
        await client.create_upload("mine-0000000000000001", str(tmp_path / "place"))
    assert not (tmp_path / "place").exists()
