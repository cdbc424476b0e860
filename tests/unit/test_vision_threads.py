"""A thread that works for a step has ended before what it works on is taken away."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from av import VideoFrame

from stope.identity import digest_file
from stope.models.dataprep import DataPrepConfig
from stope.models.job import InputFile
from stope.models.vision import Video
from stope.steps.context import StepContext
from stope.vision.reader import TimedFrame, VideoReader
from stope.vision.steps import videos as video_steps
from stope.vision.threads import in_thread, stopped_in_thread
from tests.videos import football
from tests.waiting import until


async def test_a_cancellation_stops_the_call_and_waits_for_its_end() -> None:
    begun, stopping, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stopping.wait(60)
        ended.set()

    async def is_begun() -> bool:
        return begun.is_set()

    task = asyncio.create_task(stopped_in_thread(stopping.set, work))
    await until(is_begun, "the call")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_cancelled_again_it_still_waits() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)
        ended.set()
        raise ValueError("nobody asks for it any more")

    async def is_begun() -> bool:
        return begun.is_set()

    task = asyncio.create_task(in_thread(work))
    await until(is_begun, "the call")
    for _ in range(3):
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


def step_of(*paths: Path) -> tuple[StepContext[DataPrepConfig], tuple[Video, ...]]:
    """As much of a step as readers ask for, and its videos."""
    digests = [digest_file(path) for path in paths]
    files = tuple(
        InputFile(path=str(path), digest=digest)
        for path, digest in zip(paths, digests, strict=True)
    )
    videos = tuple(
        Video(location=str(path), digest=digest, size=path.stat().st_size)
        for path, digest in zip(paths, digests, strict=True)
    )
    step = SimpleNamespace(files=files, artifacts=SimpleNamespace())
    return cast("StepContext[DataPrepConfig]", step), videos


async def test_two_frames_of_a_video_are_decoded_at_once_and_none_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, videos = step_of(
        football(tmp_path / "first.mp4"), football(tmp_path / "second.mp4", frames=30)
    )
    inside: list[str] = []
    go_on = threading.Event()
    at = VideoReader.at

    def held(reader: VideoReader, seconds: float) -> TimedFrame:
        inside.append(Path(reader.location).name)
        go_on.wait(60)
        return at(reader, seconds)

    async def both_inside() -> bool:
        return len(inside) == 2

    monkeypatch.setattr(VideoReader, "at", held)
    async with video_steps._Readers(step, videos, 2) as readers:
        wanted = [(0, 0.1), (0, 0.3), (1, 0.1), (0, 0.5)]
        asked = [asyncio.create_task(readers.frame(*one)) for one in wanted]
        await until(both_inside, "two frames in work")
        # Whoever waits for another video has had every chance to begin.
        await asyncio.wait(asked, timeout=0.1)
        assert inside == ["first.mp4", "first.mp4"]
        go_on.set()
        taken = [(await one).time for one in asked]
    assert taken == [pytest.approx(time, abs=0.05) for _, time in wanted]
    assert inside == ["first.mp4", "first.mp4", "second.mp4", "first.mp4"]


async def test_a_video_is_closed_when_nobody_decodes_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, videos = step_of(football(tmp_path / "match.mp4"))
    inside, begun = threading.Event(), threading.Event()
    closed: list[bool] = []
    timed, close = VideoReader._timed, VideoReader.close

    def held(reader: VideoReader, frame: VideoFrame) -> TimedFrame:
        inside.set()
        begun.set()
        reader._stopping.wait(60)
        made = timed(reader, frame)
        inside.clear()
        return made

    def note(reader: VideoReader) -> None:
        closed.append(not inside.is_set())
        close(reader)

    async def is_begun() -> bool:
        return begun.is_set()

    async def take() -> None:
        async with video_steps._Readers(step, videos, 2) as readers:
            await readers.frame(0, 0.5)

    monkeypatch.setattr(VideoReader, "_timed", held)
    monkeypatch.setattr(VideoReader, "close", note)
    task = asyncio.create_task(take())
    await until(is_begun, "a frame that is decoded")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True, True]
