"""What a video is, found out before anything is made of it."""

from __future__ import annotations

import threading
from pathlib import Path

from stope.errors import InputError, UnitError
from stope.models.vision import VideoProbe
from stope.sources.source import Source
from stope.vision.memory import MOST_PIXELS
from stope.vision.reader import VideoReader

LEAST_SIDE = 64
"""Pixels: on smaller pictures no detector finds anything that could be learned from."""

_BACK = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0)
"""Seconds before the stated end from which frames are looked for, until there are some."""

_SLACK = 1.0
"""Seconds that a container may overstate the length by without anything being damaged."""


def probe_video(
    video: Path | Source, least_frames: int = 1, stopping: threading.Event | None = None
) -> VideoProbe:
    """What a video's first picture stream is, and until when it can be decoded.

    Args:
        video: a path, or an open source.
        least_frames: how many will be taken.
        stopping: see ``VideoReader``.

    Raises:
        InputError: it is missing, unreadable, has no pictures, or pictures that are too small, too
            large or too few.
    """
    with VideoReader(video, stopping) as reader:
        location = reader.location
        stated = reader.stream.codec_context
        # Before anything is decoded: one frame may take more memory than there is.
        _check_size(location, stated.width, stated.height)
        try:
            first = reader.at(reader.stated_start)
        except UnitError as error:
            raise InputError(
                f"Nothing of the pictures in {location} can be decoded; the file is damaged or "
                "its format is not known."
            ) from error
        height, width = first.image.shape[:2]
        _check_size(location, width, height)
        if min(width, height) < LEAST_SIDE:
            raise InputError(
                f"The pictures of {location} are too small ({width}x{height}); at least "
                f"{LEAST_SIDE} pixels on either side are needed."
            )
        end = _decodable_end(reader, first.time)
        stated_end = reader.stated_end
        lost = 0.0 if stated_end is None else max(0.0, stated_end - end)
        frames = _frames(reader, first.time, end, whole=lost <= _SLACK)
        if frames is not None and frames < least_frames:
            raise InputError(
                f"{location} has {frames} frame{'s' if frames != 1 else ''} that can be decoded, "
                f"and {least_frames} are asked for; ask for at most {frames} with --frames, or "
                "give a longer video."
            )
        return VideoProbe(
            container=reader.container.format.name,
            codec=reader.stream.codec_context.name,
            width=width,
            height=height,
            start=first.time,
            end=end,
            frames=frames,
            undecodable=round(lost, 3) if lost > _SLACK else 0.0,
        )


def _check_size(location: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(
            f"The pictures of {location} are too large ({width}x{height}); at most "
            f"{MOST_PIXELS / 1e6:,.0f} million pixels are read. Make them smaller first."
        )


def _decodable_end(reader: VideoReader, start: float) -> float:
    """When the last frame begins that can be decoded."""
    stated = reader.stated_end
    steps = () if stated is None else _BACK
    for back in steps:
        seek_to = (stated or 0.0) - back
        if seek_to <= start:
            break
        last = max(reader.times_from(seek_to), default=None)
        if last is not None and last >= start:
            return last
    # No stated length, a short video, or one with hardly anything in it: look through it.
    return max(reader.times_from(start), default=start)


def _frames(reader: VideoReader, start: float, end: float, *, whole: bool) -> int | None:
    """How many frames there are; an estimate where the container does not count them."""
    if whole and reader.stream.frames > 0:
        return int(reader.stream.frames)
    rate = reader.stream.average_rate or reader.stream.guessed_rate
    return None if not rate else max(1, round((end - start) * float(rate)) + 1)
