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


async def test_a_video_is_closed_when_nobody_decodes_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = football(tmp_path / "match.mp4")
    digest = digest_file(path)
    files = (InputFile(path=str(path), digest=digest),)
    step = cast(
        "StepContext[DataPrepConfig]", SimpleNamespace(files=files, artifacts=SimpleNamespace())
    )
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
        videos = (Video(location=str(path), digest=digest, size=path.stat().st_size),)
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
