"""Data preparation on a real server: aligned to the pixel, and the videos are left alone."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from temporalio import activity
from temporalio.client import Client

from client import JobFailedError
from stope.errors import UnitError, UsageError
from stope.identity import digest_file
from stope.models.dataprep import DataPrepConfig, Dataset, SetName
from stope.models.job import JobStatus, JsonObject
from stope.models.vision import Augmentation, Box
from stope.records.uses import ARTIFACT, RunUses
from stope.settings import Settings
from stope.steps.context import StepContext
from stope.vision import memory
from stope.vision.augment import augmented
from stope.vision.crops import cut
from stope.vision.image import Image, decode_png
from stope.vision.reader import TimedFrame, VideoReader
from stope.vision.sheet import Tile, contact_sheet
from stope.vision.steps import crops as crop_steps
from stope.vision.steps import sets as set_steps
from tests.contract.test_detectors import square_model
from tests.videos import FACE, football, lossless, panned, plain, write_video
from tests.waiting import until
from tests.workflows.lab import becomes
from tests.workflows.scripted_steps import StepsLab, open_steps_lab

FACES = {"detector": "face", "frames": 4, "by": "frame", "augment": 2}


@pytest.fixture
async def lab(tmp_path: Path, temporal: Client, server: Settings) -> AsyncIterator[StepsLab]:
    async with open_steps_lab(tmp_path / "home", temporal, server) as lab:
        yield lab


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return football(tmp_path / "match.mp4")


def state(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return (
        digest_file(path),
        found.st_mtime_ns,
        found.st_ino,
        found.st_size,
        sorted(other.name for other in path.parent.glob("*.m*")),
    )


async def prepare(lab: StepsLab, videos: list[Path], config: JsonObject) -> tuple[str, Dataset]:
    async with lab.client() as client:
        job_id = await client.create_dataprep(videos, config, keep_checkpoint=True)
        await client.process_job(job_id)
        return job_id, await client.dataset(job_id)


async def summary(lab: StepsLab, job_id: str) -> dict[str, JsonObject]:
    async with lab.client() as client:
        checkpoint = await client.checkpoint(job_id)
    assert checkpoint is not None
    found = checkpoint["steps_summary"]
    assert isinstance(found, dict)
    return found


async def test_every_image_is_where_its_line_says_in_the_video(
    lab: StepsLab, tmp_path: Path
) -> None:
    square = [plain(256, 128, (40, 120, 40)) for _ in range(8)]
    for number, frame in enumerate(square):
        frame[0:64, 64 * (number // 2) : 64 * (number // 2) + 64] = (255, 10 * number, 0)
    video = lossless(tmp_path / "squares.mkv", square)
    model = square_model(tmp_path / "squares.onnx", names="{0: 'square'}")
    config = {"detector": str(model), "frames": 4, "background": "off", "by": "frame", "margin": 0}

    async with lab.working():
        _, dataset = await prepare(lab, [video], config)

    originals = [image for image in dataset.images if image.augmentation is None]
    assert len(originals) >= 4
    assert {image.box.label for image in originals} == {"square"}
    with VideoReader(video) as reader:
        for image in originals:
            stored = decode_png(await lab.services.artifacts.get(image.digest))
            shown = reader.at(image.time)
            assert shown.time == image.time
            np.testing.assert_array_equal(stored, cut(shown.image, image.crop))
            number = round(image.time / 0.1)
            assert image.box.x == 64 * (number // 2)
            assert tuple(stored[1, 1]) == (255, 10 * number, 0)


async def test_the_sets_share_nothing_and_every_line_leads_back(lab: StepsLab, video: Path) -> None:
    before = state(video)
    async with lab.working():
        job_id, dataset = await prepare(lab, [video], FACES | {"frames": 6})
        async with lab.client() as client:
            await client.write_dataset(job_id, lab.home / "data")

    train, validation = (
        [image for image in dataset.images if image.set is name] for name in SetName
    )
    assert validation
    assert not {image.label for image in train} & {image.label for image in validation}
    assert not {image.frame for image in train} & {image.frame for image in validation}
    assert not {image.digest for image in train} & {image.digest for image in validation}
    assert all(image.augmentation is None for image in validation)
    assert len(train) == 3 * len([image for image in train if image.augmentation is None])
    photographs = {round(100 * number): box for number, (_, box) in enumerate(panned(frames=24))}
    for image in dataset.images:
        assert image.video == before[0]
        face = face_in(photographs[round(1000 * image.time)], image.box.frame)
        assert image.box.overlap(face) > 0.5
        stored = decode_png((lab.home / "data/images" / image.path).read_bytes())
        assert stored.shape[2] == 4, "the field is transparent"
    assert state(video) == before


def face_in(photograph: tuple[int, int, int, int], frame: int) -> Box:
    """Where the face is in a frame that shows the photograph of the astronaut there."""
    left, top, width, height = photograph
    x, y, wide, high = FACE
    return Box(
        frame=frame,
        x=round(left + x * width),
        y=round(top + y * height),
        width=round(wide * width),
        height=round(high * height),
        score=1,
        label="face",
    )


async def test_what_the_worker_made_it_does_not_read_again(lab: StepsLab, video: Path) -> None:
    async with lab.working():
        job_id, _ = await prepare(lab, [video], FACES)

    for name, step in (await summary(lab, job_id)).items():
        metadata = step["metadata"]
        assert isinstance(metadata, dict)
        assert metadata["context"]["from_storage"] == 0, name
    steps = await summary(lab, job_id)
    read = [step["metadata"]["context"]["from_memory"] for step in steps.values()]  # type: ignore[index, call-overload]
    assert sum(read) > 20


async def test_more_augmentation_takes_no_frame_again(lab: StepsLab, video: Path) -> None:
    async with lab.working():
        _, first = await prepare(lab, [video], FACES)
        job_id, second = await prepare(lab, [video], FACES | {"augment": 4})

    async with lab.client() as client:
        run = (await client.runs(job_id))[-1]
    uses = await RunUses(lab.services.database).of_run(run.run_id, ARTIFACT)
    needed = {image.digest for image in second.images} | set(second.sheets.values())
    assert needed <= {use.key for use in uses}, "also what an earlier run made is kept for this one"
    steps = await summary(lab, job_id)
    for name in ("extract_frames", "detect_subjects", "remove_crop_background"):
        assert steps[name]["status"] in ("completed", "skipped")
        assert steps[name]["finished_at"] < steps["augment_crops"]["started_at"]  # type: ignore[operator]
    originals = [
        {image.digest for image in dataset.images if image.augmentation is None}
        for dataset in (first, second)
    ]
    assert originals[0] == originals[1]
    assert len(second.images) > len(first.images)


async def test_a_motion_detector_and_two_videos_one_of_them_given_twice(
    lab: StepsLab, tmp_path: Path, video: Path
) -> None:
    other = football(tmp_path / "other.mp4", name="coffee", side=120)
    copy = shutil.copy(video, tmp_path / "copy.mp4")
    config = {"detector": "motion", "frames": 6, "augment": 1, "background": "off"}

    async with lab.working():
        _, dataset = await prepare(lab, [video, other, Path(copy)], config)

    assert len(dataset.videos) == 2
    assert any("same content" in note for note in dataset.notes)
    labels = {image.label.split("_")[0] for image in dataset.images}
    assert labels == {"video1", "video2"}
    assert {image.set for image in dataset.images} == set(SetName)


async def test_a_failure_leaves_the_video_alone_and_says_what_to_do(
    lab: StepsLab, tmp_path: Path
) -> None:
    empty = football(tmp_path / "empty.mp4", side=8)
    before = state(empty)
    async with lab.working():
        with pytest.raises(JobFailedError, match=r"sees nothing in 4 frames.*--detector"):
            await prepare(lab, [empty], FACES)
        with pytest.raises(JobFailedError, match=r"24 frames.*1000 are asked for"):
            await prepare(lab, [empty], FACES | {"frames": 1000})
    assert state(empty) == before


async def test_a_video_that_changed_is_refused(lab: StepsLab, video: Path) -> None:
    async with lab.client() as client:
        job_id = await client.create_dataprep([video], FACES)
        football(video, frames=30)
        async with lab.working():
            with pytest.raises(JobFailedError, match="has changed since this job was made"):
                await client.process_job(job_id)


async def test_frames_that_cannot_be_decoded_are_named_gaps(lab: StepsLab, tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "whole.mp4", (image for image, _ in panned(frames=60)), options={"g": "10"}
    )
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        places = sorted(
            (packet.pts * packet.time_base, packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.pts is not None
        )
    for time, place, size in places:
        if 2 <= time < 4:
            data[place + 4 : place + size] = bytes(size - 4)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data)

    async with lab.working(), lab.client() as client:
        job_id = await client.create_dataprep([torn], FACES | {"frames": 12})
        result = await client.process_job(job_id)
        dataset = await client.dataset(job_id)

    gaps = result["gaps"]
    assert isinstance(gaps, list)
    assert {gap["stage"] for gap in gaps} == {"extract_frames"}
    assert len(gaps) == 4
    assert all(2 <= gap["start"] < 4 and "cannot be decoded" in gap["reason"] for gap in gaps)
    times = {image.time for image in dataset.images}
    assert len(times) == 8
    assert not [time for time in times if 2 <= time < 4]
    assert any("4 of 12 samples" in note for note in dataset.notes)


async def test_after_its_gaps_were_tried_again_it_is_written_to_its_own_folder(
    lab: StepsLab, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, away = VideoReader.at, threading.Event()

    def at_first(reader: VideoReader, seconds: float) -> TimedFrame:
        if seconds > 1.5 and away.is_set():
            raise UnitError("This frame cannot be decoded.")
        return at(reader, seconds)

    monkeypatch.setattr(VideoReader, "at", at_first)
    away.set()
    async with lab.working(), lab.client() as client:
        job_id = await client.create_dataprep([video], FACES | {"frames": 6})
        await client.process_job(job_id)
        first = await client.write_dataset(job_id, lab.home / "data")
        away.clear()
        await client.retry(job_id, gaps=True)
        await becomes(client, job_id, JobStatus.SUCCEEDED)
        second = await client.write_dataset(job_id, lab.home / "data")
        await client.write_dataset(job_id, lab.home / "anew")

    assert len(first.images) < len(second.images)
    assert files(lab.home / "data") == files(lab.home / "anew")


def files(folder: Path) -> dict[Path, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in found}


async def test_where_pictures_are_large_few_are_in_memory_at_once(
    lab: StepsLab, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int | None] = {}
    shown: list[int] = []
    run_units = StepContext.run_units

    async def noted(step: StepContext[DataPrepConfig], *args: Any, **named: Any) -> Any:
        asked[step.step] = named.get("concurrency")
        return await run_units(step, *args, **named)

    def drawn(title: str, tiles: Sequence[Tile]) -> bytes:
        shown.extend(max(tile.image.shape[:2]) for tile in tiles)
        return contact_sheet(title, tiles)

    monkeypatch.setattr(memory, "CORES", 64)
    monkeypatch.setattr(memory, "ROOM", 3 * 480 * 270 * memory.IN_WORK)
    monkeypatch.setattr(StepContext, "run_units", noted)
    monkeypatch.setattr(set_steps, "contact_sheet", drawn)
    async with lab.working():
        _, dataset = await prepare(lab, [video], FACES | {"margin": 1})

    frames = ("calculate_background_mask", "detect_subjects", "extract_crops")
    assert [asked[step] for step in (*frames, "remove_crop_background")] == [3] * 4
    crop = max(image.crop[2] * image.crop[3] for image in dataset.images)
    assert asked["augment_crops"] == memory.at_once(crop, memory.AUGMENTED) < 10
    assert len(shown) == len(dataset.images)
    assert max(max(image.crop[2:]) for image in dataset.images) > 112 >= max(shown)


async def test_a_cancellation_leaves_the_video_alone_and_the_rest_goes_on_later(
    lab: StepsLab, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(video)
    begun, go_on, told = threading.Event(), threading.Event(), threading.Event()
    augment_crops = crop_steps.augment_crops

    def held(image: Image, augmentation: Augmentation) -> Image:
        begun.set()
        go_on.wait(60)
        return augmented(image, augmentation)

    async def note_cancellation() -> None:
        await activity.wait_for_cancelled()
        told.set()

    async def watched(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
        watching = asyncio.create_task(note_cancellation())
        try:
            return await augment_crops(step)
        finally:
            watching.cancel()

    async def is_begun() -> bool:
        return begun.is_set()

    async def is_told() -> bool:
        return told.is_set()

    async with lab.working(), lab.client() as client:
        job_id = await client.create_dataprep([video], FACES)
        monkeypatch.setattr(crop_steps, "augmented", held)
        monkeypatch.setattr(crop_steps, "augment_crops", watched)
        await client.start_job(job_id)
        await until(is_begun, "the first augmentation")
        await client.cancel(job_id)
        await until(is_told, "the worker to hear of it")
        go_on.set()
        await becomes(client, job_id, JobStatus.CANCELLED)
        assert state(video) == before
        await client.process_job(job_id)
        dataset = await client.dataset(job_id)

    assert dataset.images
    assert state(video) == before


async def test_a_config_that_cannot_be_is_refused_at_once(lab: StepsLab, video: Path) -> None:
    async with lab.client() as client:
        for config, words in (
            ({"detector": "dog"}, "no detector 'dog'"),
            ({"frames": 0}, "'frames'"),
            ({"colour": "green"}, "'colour'.*detector, min_score, frames"),
        ):
            with pytest.raises(UsageError, match=words):
                await client.create_dataprep([video], config)
