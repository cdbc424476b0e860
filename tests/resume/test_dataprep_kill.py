"""Data preparation, really killed, and gone on with by a new process on another working folder.

Killed after every step, inside every loop over frames and crops, and between what is stored and its
commit; with fresh records and another server, from the checkpoint alone; and on a bucket. Nothing
that was committed is done again, and the data set is the one of a run that was left alone.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from client import JobClient
from stope.dev_server import DevServer
from stope.identity import digest_file
from stope.models.dataprep import Dataset, Frames
from stope.models.job import JsonObject
from stope.settings import Settings
from stope.steps.cache import ContextCache
from stope.steps.identity import checkpoint_path, run_guid_of
from stope.steps.store import ValueStore
from stope.vision.pipeline import PIPELINE
from tests.object_servers import ObjectServer
from tests.resume.preparing import CONFIG, Place, finished
from tests.videos import football
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = [step.name for step in PIPELINE.steps]
IN_THE_LOOP = {
    "extract_frames": "before extract_frames 3",
    "calculate_background_mask": "after calculate_backgr 7",
    "detect_subjects": "after detect_subjects 2",
    "extract_crops": "before extract_crops 3",
    "remove_crop_background": "before remove_crop_back 2",
    "augment_crops": "after augment_crops 2",
}
"""Units in the middle of these steps; the seventh of the background is a mask."""

BEFORE_ITS_RECORD = "before step detect_subjects"


def deaths() -> Iterator[str]:
    for step in STEPS:
        if step in IN_THE_LOOP:
            yield IN_THE_LOOP[step]
        if BEFORE_ITS_RECORD.endswith(step):
            yield BEFORE_ITS_RECORD
        yield f"after step {step}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    yield from running(tmp_path_factory.mktemp("server"))


@pytest.fixture
def another_server(tmp_path: Path) -> Iterator[DevServer]:
    yield from running(tmp_path / "another-server")


def running(home: Path) -> Iterator[DevServer]:
    server = DevServer(Settings(home=home, temporal_port=0, temporal_address=None))
    server.ensure()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return football(tmp_path_factory.mktemp("video") / "match.mp4")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, server: DevServer, video: Path) -> Dataset:
    """What a run makes that is left alone."""
    alone = Place(tmp_path_factory.mktemp("alone") / "place", server)

    async def prepare() -> Dataset:
        async with JobClient(alone.settings) as client:
            # Its own id: on one server two runs of the same job would be one workflow.
            job_id = await client.create_dataprep([video], CONFIG, run_guid="alone")
            await client.start_job(job_id)
            with alone.worker(0):
                await finished(client, job_id)
            return await client.dataset(job_id)

    return asyncio.run(prepare())


async def checkpoint_file(place: Place, run_guid: str) -> JsonObject:
    data = await place.store().read_named(checkpoint_path(run_guid))
    assert data is not None
    found: JsonObject = json.loads(data)
    return found


async def test_killed_at_every_step_and_in_the_loops_it_makes_the_same_data_set(
    tmp_path: Path, server: DevServer, video: Path, wanted: Dataset
) -> None:
    before = state(video)
    killed = Place(tmp_path / "killed", server)
    async with JobClient(killed.settings) as client:
        job_id = await client.create_dataprep([video], CONFIG, keep_checkpoint=True)
        await client.start_job(job_id)
        number = 0
        for number, death in enumerate(deaths(), start=1):
            await killed.dies(number, death)
            if death.startswith("before"):
                await what_was_lost_is_stored_and_not_committed(killed)
        with killed.worker(number + 1):
            await finished(client, job_id)
        found = await client.dataset(job_id)
        job = await client.job(job_id)

    assert [image.digest for image in found.images] == [image.digest for image in wanted.images]
    assert found == wanted
    assert len(found.images) > 5
    times = Counter(key for _, key in killed.notes())
    assert set(times.values()) == {1}, "nothing that was committed was done again"
    assert killed.lost().keys() <= times.keys(), "what was not, was"
    assert [name for name, _ in killed.notes() if name.startswith("step ")] == [
        f"step {name}" for name in STEPS
    ]

    values = ValueStore(killed.store(), ContextCache())
    context = (await checkpoint_file(killed, run_guid_of(job)))["context"]
    assert isinstance(context, dict)
    frames = (await values.value("frames", context["frames"], Frames)).frames
    pixels = await values.load(frames[0].digest, np.ndarray)
    assert (pixels.shape, pixels.dtype) == ((270, 480, 3), np.uint8)
    assert state(video) == before


def state(video: Path) -> tuple[str, int, int]:
    return digest_file(video), video.stat().st_mtime_ns, video.stat().st_ino


async def what_was_lost_is_stored_and_not_committed(place: Place) -> None:
    key, digests = list(place.lost().items())[-1]
    assert key not in {committed for _, committed in place.notes()}
    assert digests
    store = place.store()
    assert all([await store.exists(digest) for digest in digests])


async def test_with_fresh_records_it_goes_on_from_the_checkpoint_file_alone(
    tmp_path: Path, server: DevServer, another_server: DevServer, video: Path, wanted: Dataset
) -> None:
    first = Place(tmp_path / "first", server)
    async with JobClient(first.settings) as client:
        job_id = await client.create_dataprep([video], CONFIG, run_guid="handed-on")
        await client.start_job(job_id)
        await first.dies(1, "before remove_crop_back 2")
    left = await checkpoint_file(first, "handed-on")
    over = left["completed_steps"]
    assert over == STEPS[: STEPS.index("remove_crop_background")]

    second = Place(tmp_path / "second", another_server, str(first.settings.artifacts_url))
    async with JobClient(second.settings) as client:
        again = await client.create_dataprep(
            [video], CONFIG, run_guid="handed-on", keep_checkpoint=True
        )
        await client.start_job(again)
        with second.worker(1):
            await finished(client, again)
        found = await client.dataset(again)

    assert again == job_id
    assert found == wanted
    done_again = {name for name, _ in second.notes() if not name.startswith("step ")}
    assert done_again == {"remove_crop_back", "augment_crops", "create_training_"}
    summaries = (await checkpoint_file(second, "handed-on"))["steps_summary"]
    earlier = left["steps_summary"]
    assert isinstance(summaries, dict)
    assert isinstance(earlier, dict)
    for step in over:
        assert summaries[step] == earlier[step] | {"status": "skipped"}


async def test_on_a_bucket_it_is_killed_resumed_and_cleaned(
    tmp_path: Path,
    server: DevServer,
    gcs_server: ObjectServer,
    video: Path,
    wanted: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in gcs_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = gcs_server.new_bucket()
    gcs_server.overwrite(bucket, "videos/match.mp4", await asyncio.to_thread(video.read_bytes))
    url = f"gs://{bucket}/videos/match.mp4"
    before = about_object(gcs_server, bucket, "videos%2Fmatch.mp4")
    place = Place(tmp_path / "bucket", server, f"gs://{bucket}/stope", dict(gcs_server.env))

    async with JobClient(place.settings) as client:
        job_id = await client.create_dataprep([url], CONFIG, run_guid="on-a-bucket")
        await client.start_job(job_id)
        await place.dies(1, "before extract_crops 3")
        await what_was_lost_is_stored_and_not_committed(place)
        assert "stope/runs/on-a-bucket/checkpoint.json" in gcs_server.keys(bucket)
        scratch = place.home(2) / "scratch" / "steps" / "on-a-bucket"

        async def is_clean() -> bool:
            left = [key for key in gcs_server.keys(bucket) if key.startswith("stope/runs/")]
            return not left and not scratch.exists()

        with place.worker(2):
            await finished(client, job_id)
            await until(is_clean, "the clean-up")
        found = await client.write_dataset(job_id, tmp_path / "data")

    assert found.images == wanted.images
    assert [known.location for known in found.videos] == [url]
    assert set(Counter(key for _, key in place.notes()).values()) == {1}
    for image in found.images:
        assert digest_file(tmp_path / "data" / "images" / image.path) == image.digest
    assert about_object(gcs_server, bucket, "videos%2Fmatch.mp4") == before


def about_object(server: ObjectServer, bucket: str, key: str) -> dict[str, object]:
    found = httpx.get(f"{server.base}/storage/v1/b/{bucket}/o/{key}").raise_for_status().json()
    return {name: found[name] for name in ("name", "size", "md5Hash", "generation", "updated")}
