"""From files to frames."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from stope.errors import StageFailedError
from stope.models.dataprep import (
    DataPrepConfig,
    FrameRecord,
    Frames,
    Probes,
    Videos,
    frame_id,
)
from stope.models.frozen import Frozen
from stope.models.job import InputFile, InputKind, JobInput
from stope.models.vision import Digest, Video, VideoProbe
from stope.sources.copies import input_source
from stope.sources.source import Source
from stope.steps.context import StepContext
from stope.units import Unit
from stope.vision.digests import check_content
from stope.vision.frames import sample_times
from stope.vision.memory import at_once
from stope.vision.probe import probe_video
from stope.vision.reader import TimedFrame, VideoReader
from stope.vision.steps.holding import hold
from stope.vision.threads import in_thread, stopped_in_thread

READERS = 2
"""Of a video, where there is room. Every frame begins with a search for its key frame, in which a
decoder, however many threads it has, leaves cores idle: another one uses them."""


class TakenFrame(Frozen):
    """A frame as it was decoded; ``digest`` is that of its pixels."""

    time: float
    pts: int
    width: int
    height: int
    digest: Digest


async def import_videos(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Note what the videos are. They stay where they lie, and are only ever read."""

    async def do(unit: Unit[InputFile]) -> Video:
        async with _source(step, unit.item.digest) as source:
            return await asyncio.to_thread(check_content, source, unit.item.digest)

    files = {file.digest: file for file in reversed(step.files)}
    units = [
        step.unit(f"video{number}", file, file.path, file.digest)
        for number, file in enumerate(
            (file for file in step.files if files[file.digest] is file), start=1
        )
    ]
    done = await step.run_units(units, do, output=Video)
    videos = tuple(done.outputs.values())
    step.metadata["videos"] = len(videos)
    step.metadata["bytes"] = sum(video.size for video in videos)
    if len(videos) < len(step.files):
        step.metadata["given_twice"] = len(step.files) - len(videos)
    return {"videos": Videos(videos=videos)}


async def load_videos(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Look at what the videos are, and until when each can be decoded."""
    videos = (await step.need("videos", Videos)).videos

    async def do(unit: Unit[Video]) -> VideoProbe:
        async with _source(step, unit.item.digest) as source:
            stopping = threading.Event()
            return await stopped_in_thread(
                stopping.set, probe_video, source, step.config.frames, stopping
            )

    units = [
        step.unit(f"video{number}", video, video.digest)
        for number, video in enumerate(videos, start=1)
    ]
    done = await step.run_units(units, do, output=VideoProbe)
    probes = tuple(done.outputs.values())
    for number, probe in enumerate(probes, start=1):
        step.metadata[f"video{number}"] = (
            f"{probe.width}x{probe.height} {probe.codec}, {probe.end - probe.start:.1f} s"
        )
        if probe.undecodable:
            step.metadata[f"video{number}_undecodable_seconds"] = probe.undecodable
    return {"probes": Probes(probes=probes)}


async def extract_frames(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Take evenly spaced frames of every video; one that cannot be decoded is a gap."""
    videos = (await step.need("videos", Videos)).videos
    probes = (await step.need("probes", Probes)).probes
    wanted = [
        (number, index, time)
        for number, probe in enumerate(probes)
        for index, time in enumerate(sample_times(probe, step.config.frames))
    ]
    units = [
        step.unit(
            frame_id(number, index),
            (number, time),
            videos[number].digest,
            time,
            start=time,
            end=time,
        )
        for number, index, time in wanted
    ]
    # A frame is stored while others are decoded.
    pixels = max((probe.width * probe.height for probe in probes), default=0)
    beside = at_once(pixels, most=READERS + 1)
    async with _Readers(step, videos, min(beside, READERS)) as readers:

        async def do(unit: Unit[tuple[int, float]]) -> TakenFrame:
            number, time = unit.item
            taken = await readers.frame(number, time)
            height, width = taken.image.shape[:2]
            return TakenFrame(
                time=taken.time,
                pts=taken.pts,
                width=width,
                height=height,
                digest=await step.put(taken.image),
            )

        done = await step.run_units(units, do, output=TakenFrame, concurrency=beside)
    frames: list[FrameRecord] = []
    seen: set[tuple[int, int]] = set()
    for number, index, _ in wanted:
        taken = done.outputs.get(frame_id(number, index))
        # Where frames are rare, two times show the same one.
        if taken is not None and (number, taken.pts) not in seen:
            seen.add((number, taken.pts))
            frames.append(FrameRecord(video=number, index=index, **taken.model_dump()))
    if not frames:
        raise StageFailedError("Not one frame could be taken of any video.")
    if done.reused:
        await hold(step, (frame.digest for frame in frames), "frame")
    step.metadata["frames"] = len(frames)
    return {"frames": Frames(frames=tuple(frames))}


@asynccontextmanager
async def _source(step: StepContext[DataPrepConfig], digest: Digest) -> AsyncIterator[Source]:
    """The video of a content, where this job has it: a run before may have had it elsewhere."""
    file = next(file for file in step.files if file.digest == digest)
    given = JobInput(kind=InputKind.RECORDING, digest=digest, path=file.path)
    source = await input_source(given, step.artifacts)
    try:
        yield source
    finally:
        await asyncio.to_thread(source.close)


class _Readers:
    """A few open readers of one video, each used by one thread at a time: videos come in turn."""

    def __init__(
        self, step: StepContext[DataPrepConfig], videos: tuple[Video, ...], most: int
    ) -> None:
        self._step = step
        self._videos = videos
        self._most = most
        self._at: int | None = None
        self._open = 0
        self._idle: asyncio.Queue[VideoReader] = asyncio.Queue()
        self._stopping = threading.Event()
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def frame(self, number: int, seconds: float) -> TimedFrame:
        """The frame that a video shows at a time. Once a call was cancelled there are no more."""
        async with self._turn:
            if self._at != number:
                await self._turn_to(number)
            reader = await self._idle.get()
        try:
            # A container is closed when the thread is out of it: FFmpeg would read freed memory.
            return await stopped_in_thread(self._stopping.set, reader.at, seconds)
        finally:
            self._idle.put_nowait(reader)

    async def _turn_to(self, number: int) -> None:
        while self._open:
            await self._idle.get()
            self._open -= 1
        await self._stack.aclose()
        self._at = None
        digest = self._videos[number].digest
        source = await self._stack.enter_async_context(_source(self._step, digest))
        # Once for each attempt, before the first frame: the frames are named by its digest.
        await asyncio.to_thread(check_content, source, digest)

        def enter() -> VideoReader:
            return self._stack.enter_context(VideoReader(source, self._stopping))

        # Over a network each would fetch the same parts.
        for _ in range(1 if source.path is None else self._most):
            self._idle.put_nowait(await in_thread(enter))
            self._open += 1
        self._at = number
