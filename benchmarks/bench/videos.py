"""Videos of a wanted length: a photograph that crosses a field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from skimage import data, transform

from stope.vision.image import Image

_GREEN = (46, 128, 52)


def crossing(width: int, height: int, count: int, seed: int = 0) -> Iterator[Image]:
    """The astronaut on grass, from one side to the other and back, in so many frames."""
    random = np.random.default_rng(seed)
    light = random.normal(1.0, 0.06, (height, width, 1))
    grass = np.clip(np.array(_GREEN) * light, 0, 255).astype(np.uint8)
    side = height * 3 // 4
    photo = transform.resize(data.astronaut(), (side, side), preserve_range=True)
    picture = np.rint(photo).astype(np.uint8)
    top, room = (height - side) // 2, width - side
    for number in range(count):
        place = number % max(1, 2 * room)
        left = place if place <= room else 2 * room - place
        frame = grass.copy()
        frame[top : top + side, left : left + side] = picture
        yield frame


def write_crossing(
    path: Path, width: int, height: int, seconds: float, rate: int, pictures: int = 240
) -> Path:
    """A video of a length in H.264; its pictures repeat after so many of them.

    Args:
        path: the file.
        width: in pixels, even.
        height: in pixels, even.
        seconds: its length.
        rate: frames a second.
        pictures: different ones; making them takes most of the time.
    """
    made = list(crossing(width, height, min(pictures, round(seconds * rate))))
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        for number in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(made[number % len(made)], format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_looped(path: Path, clip: Path, seconds: float) -> Path:
    """A clip over and over, its packets copied as they are, until it is at least so long.

    Args:
        path: the file.
        clip: of H.264, by ``write_crossing``.
        seconds: the length to reach.
    """
    with av.open(str(path), mode="w") as container, av.open(str(clip)) as source:
        stream = source.streams.video[0]
        if stream.time_base is None or stream.duration is None:
            raise AssertionError(f"{clip} does not say how long it is")
        copied = container.add_stream_from_template(stream)
        for turn in range(math.ceil(seconds / float(stream.duration * stream.time_base))):
            source.seek(0, stream=stream)
            for packet in source.demux(stream):
                if packet.pts is not None and packet.dts is not None:
                    packet.pts += turn * stream.duration
                    packet.dts += turn * stream.duration
                    packet.stream = copied
                    container.mux(packet)
    return path
