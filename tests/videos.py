"""Videos for tests, made of photographs that ship in scikit-image, with boxes that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from skimage import data, transform

from stope.vision.image import Image

GREEN = (46, 128, 52)
BASE = Fraction(1, 1000)

FACE = (0.33, 0.12, 0.22, 0.24)
"""Where the face is in the photograph of the astronaut: x, y, width, height of its sides."""


def photograph(name: str, side: int) -> Image:
    """A colour photograph, square, RGB."""
    found = getattr(data, name)()
    cut = min(found.shape[:2])
    small = transform.resize(
        found[:cut, :cut], (side, side), preserve_range=True, anti_aliasing=True
    )
    return np.rint(small).astype(np.uint8)


def field(width: int, height: int, seed: int = 0) -> Image:
    """Grass: green, brighter here and darker there."""
    random = np.random.default_rng(seed)
    light = random.normal(1.0, 0.06, (height, width, 1))
    return np.clip(np.array(GREEN) * light, 0, 255).astype(np.uint8)


def panned(
    width: int = 480, height: int = 270, frames: int = 24, side: int = 200, name: str = "astronaut"
) -> Iterator[tuple[Image, tuple[int, int, int, int]]]:
    """A photograph that crosses a field from left to right; each frame with its box."""
    grass, photo = field(width, height), photograph(name, side)
    top = (height - side) // 2
    for number in range(frames):
        left = 4 + (width - side - 8) * number // max(1, frames - 1)
        frame = grass.copy()
        frame[top : top + side, left : left + side] = photo
        yield frame, (left, top, side, side)


def write_video(
    path: Path,
    frames: Iterable[Image],
    *,
    rate: int = 10,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    ticks: bool = False,
) -> Path:
    """Encode RGB frames.

    Args:
        path: the file; its suffix names the container.
        frames: all of one size.
        rate: frames a second.
        codec: FFmpeg's name.
        pixels: FFmpeg's name of the pixel format.
        times: of each frame, in milliseconds; default: by the rate.
        options: of the codec.
        ticks: count time in frames: some codecs know no milliseconds.
    """
    base = Fraction(1, rate) if ticks else BASE
    container = av.open(str(path), mode="w")
    stream = container.add_stream(codec, rate=rate, options=options or {})
    stream.pix_fmt = pixels
    stream.time_base = base
    stream.codec_context.time_base = base
    for number, image in enumerate(frames):
        if number == 0:
            stream.width, stream.height = image.shape[1], image.shape[0]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = (
            times[number] if times is not None else number if ticks else number * 1000 // rate
        )
        frame.time_base = base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    container.close()
    return path


def lossless(path: Path, frames: Iterable[Image], **more: object) -> Path:
    """A video whose decoded pixels are exactly those that were given."""
    codec, pixels = ("png", "rgb24") if path.suffix == ".mov" else ("ffv1", "bgr0")
    return write_video(path, frames, codec=codec, pixels=pixels, **more)  # type: ignore[arg-type]


def football(path: Path, *, frames: int = 24, rate: int = 10, **more: object) -> Path:
    """The astronaut crossing a field, as a video of its own."""
    images = (image for image, _ in panned(frames=frames, **more))  # type: ignore[arg-type]
    return write_video(path, images, rate=rate)


def plain(width: int, height: int, colour: tuple[int, int, int]) -> Image:
    """A picture of one colour."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


def numbered(count: int, width: int = 96, height: int = 72) -> list[Image]:
    """Frames that can be told apart by any of their pixels: red is 2 times the frame's number."""
    make: Callable[[int], Image] = lambda number: plain(width, height, (2 * number, 90, 30))  # noqa: E731  (its type)
    return [make(number) for number in range(count)]
