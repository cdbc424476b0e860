"""Reading a video by time: seek, then decode to the frame that is shown then.

Nothing is kept of what was decoded before, so memory does not grow with the video's length.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer

from stope.errors import InputError, UnitError, WorkerDrainingError
from stope.sources.source import Source, open_source
from stope.vision.image import Image
from stope.vision.memory import CORES, DECODED, MOST_PIXELS, at_once

_BACK = (0.0, 1.0, 4.0, 16.0, 64.0)
"""Seconds to seek further back where a container lands behind the wanted time."""

_LEAD = 10
"""Seconds before the beginning from which the first frame is surely found."""

_TICK = 1e-6
"""Of a stream's unit of time: what floating point may lose."""

_OWN_FRAME = 0.75
"""Of the time between frames: what is shown sooner after one is its second field, or a picture that
is only referred to. Frames of their own are farther apart."""

_BAD_PACKETS = 100
"""So many that cannot be decoded, one after another, are no passing damage."""


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame, upright, and when it is shown: seconds of the video's own time.

    The image cannot be written to.
    """

    image: Image
    time: float
    pts: int


class VideoReader:
    """The first picture stream of a video.

    Args:
        video: a path, or an open source, which whoever opened it closes.
        stopping: once it is set, nothing more is decoded. It is looked at between packets.

    Raises:
        InputError: it is missing, unreadable, no video, or has no picture stream.
        StorageUnavailableError: it is remote and cannot be reached; also by every method.
        WorkerDrainingError: by every method that decodes, when it is stopped.
    """

    def __init__(self, video: Path | Source, stopping: threading.Event | None = None) -> None:
        self._stopping = stopping or threading.Event()
        self._source = open_source(video) if isinstance(video, Path) else video
        self.location = self._source.location
        self._promised: set[int] = set()
        """When the packets read since the last seek are shown whose frames have not come."""
        with ExitStack() as stack:
            self.container = stack.enter_context(self._opened(stack))
            location = self.location
            streams = [
                # The cover picture of a song is a stream too.
                stream
                for stream in self.container.streams.video
                if not stream.disposition & av.stream.Disposition.attached_pic
            ]
            if not streams:
                kinds = sorted({stream.type for stream in self.container.streams})
                raise InputError(
                    f"{location} has no video stream (it holds {', '.join(kinds) or 'nothing'}); "
                    "give a video with pictures."
                )
            self.stream = streams[0]
            codec = self.stream.codec_context
            codec.thread_type = "AUTO"
            # Each thread holds a frame.
            codec.thread_count = at_once(codec.width * codec.height, DECODED, CORES)
            # Also where a picture in the middle says that it is larger than the first. Decoders
            # count whole blocks, so a little more than is shown.
            codec.options = {"max_pixels": str(MOST_PIXELS * 9 // 8)}
            if self.stream.time_base is None:
                raise InputError(
                    f"The pictures of {location} have no times; put it into a container that has "
                    "some, such as .mp4 or .mkv."
                )
            self._base = self.stream.time_base
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()

    @property
    def stated_start(self) -> float:
        """When the container says that the pictures begin; 0 where it says nothing."""
        return float((self.stream.start_time or 0) * self._base)

    @property
    def stated_end(self) -> float | None:
        """When it says that they end; None where it says nothing."""
        if self.stream.duration is not None and self.stream.duration > 0:
            return self.stated_start + float(self.stream.duration * self._base)
        if self.container.duration is not None and self.container.duration > 0:
            begins = (self.container.start_time or 0) / av.time_base
            return begins + self.container.duration / av.time_base
        return None

    def at(self, seconds: float) -> TimedFrame:
        """The frame that is shown at a time: the last one that begins by then.

        Before the first frame, that one.

        Raises:
            UnitError: what is shown then cannot be decoded.
        """
        wanted = math.floor(seconds / self._base + _TICK)
        for back in _BACK:
            frame = self._shown_at(wanted, seconds - back)
            if frame is not None:
                return self._timed(frame)
        raise UnitError(
            f"The frame of {self.location} at {seconds:.3f} s cannot be decoded; the file is "
            "damaged there."
        )

    def times_from(self, seconds: float) -> Iterator[float]:
        """The times of the frames from the key frame before a time to the end, in order shown."""
        self._seek(seconds)
        for frame in self._decoded():
            yield float(_pts(frame, self.location) * self._base)

    def _opened(self, stack: ExitStack) -> InputContainer:
        try:
            path = self._source.path
            if path is not None:
                _check_file(path)
                return _container(str(path.absolute()), "file")
            if self._source.size == 0:
                raise InputError(f"{self.location} is empty (0 bytes); give a video.")
            return _container(stack.enter_context(self._source.open()), "none")
        except (av.FFmpegError, ValueError) as error:
            self._raise_failure()
            message = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"{self.location} is not a video that can be read "
                f"({str(message).strip().rstrip('.').lower()}); give a video file."
            ) from error

    def _raise_failure(self) -> None:
        """What FFmpeg makes of a network that is away is no damage of the video."""
        if self._source.failure is not None:
            raise self._source.failure

    def _shown_at(self, wanted: int, seek_to: float) -> VideoFrame | None:
        """None where the container has landed behind the wanted time, or it cannot be decoded."""
        first = seek_to <= self.stated_start
        self._seek(seek_to)
        shown: VideoFrame | None = None
        begins, apart = 0, self._usually_apart()
        for frame in self._decoded():
            pts = _pts(frame, self.location)
            if shown is not None and pts > begins:
                apart = min(apart, pts - begins)
            if pts > wanted:
                if shown is None and first:
                    # The very first frame serves whatever comes before it.
                    return frame
                break
            shown, begins = frame, pts
        if shown is None or any(
            begins < pts <= wanted and (math.isinf(apart) or pts - begins >= _OWN_FRAME * apart)
            for pts in self._promised
        ):
            return None
        return shown

    def _usually_apart(self) -> float:
        """The time between frames as the container says it; infinite where it says nothing."""
        rate = self.stream.average_rate
        return float(1 / (rate * self._base)) if rate else math.inf

    def _seek(self, seconds: float) -> None:
        self._promised.clear()
        start = self.stream.start_time or 0
        # A transport stream has no index: asked for its beginning, it may give the key frame after.
        front = start - round(_LEAD / self._base)
        offset = math.floor(seconds / self._base)
        try:
            wanted = front if offset <= start else offset
            self.container.seek(wanted, stream=self.stream, backward=True)
        except av.FFmpegError:
            self._raise_failure()
            # Behind the end, or before the beginning of what has an index.
            self.container.seek(start, stream=self.stream, backward=True)

    def _decoded(self) -> Iterator[VideoFrame]:
        """Frames from here on, in the order they are shown; damaged packets are left out."""
        packets = self.container.demux(self.stream)
        bad = 0
        while bad < _BAD_PACKETS:
            if self._stopping.is_set():
                raise WorkerDrainingError(
                    f"This worker is leaving; another goes on with {self.location}."
                )
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.pts is not None:
                    self._promised.add(packet.pts)
                frames = packet.decode()
                bad = 0
            except av.EOFError:
                self._raise_failure()
                return
            except av.FFmpegError:
                self._raise_failure()
                bad += 1
                continue
            for frame in frames:
                if not frame.is_corrupt:
                    self._promised.discard(_pts(frame, self.location))
                    yield frame

    def _timed(self, frame: VideoFrame) -> TimedFrame:
        pts = _pts(frame, self.location)
        image = frame.to_ndarray(format="rgb24")
        # The angle is counter-clockwise, as NumPy's turns are.
        turns = round(frame.rotation / 90) % 4
        upright = np.ascontiguousarray(np.rot90(image, turns)).astype(np.uint8, copy=False)
        if frame.format.name == "rgb24":
            # It may lie in memory of the decoder's, which is not ours to keep.
            upright = upright.copy()
        # What nobody can change, nobody has to copy.
        upright.flags.writeable = False
        return TimedFrame(upright, float(pts * self._base), pts)


def _pts(frame: VideoFrame, location: str) -> int:
    """When a frame is shown, in units of its stream."""
    found = frame.pts if frame.pts is not None else frame.dts
    if found is None:
        raise InputError(
            f"The pictures of {location} have no times; put it into a container that has some, "
            "such as .mp4 or .mkv."
        )
    return int(found)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the videos in it.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: no permission; make it readable.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a video.")


def _container(file: str | BinaryIO, protocol: str) -> InputContainer:
    # This file, never a protocol: a playlist inside must not make FFmpeg reach for others.
    return av.open(
        file, mode="r", metadata_errors="replace", options={"protocol_whitelist": protocol}
    )
