"""Pixels as PNG and back, by PyAV: lossless, and no other library is needed for it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

_FORMATS = {
    (2, "uint8"): "gray",
    (2, "uint16"): "gray16be",
    (3, "uint8"): "rgb24",
    (4, "uint8"): "rgba",
}
"""PNG's own pixel formats, by channels (2: grey, without a third dimension) and depth."""


def to_png(pixels: np.ndarray[Any, Any]) -> bytes:
    """The PNG of rows by columns, or by 3 (RGB) or 4 (RGBA) channels."""
    channels = 2 if pixels.ndim == 2 else pixels.shape[2]
    form = _FORMATS[channels, str(pixels.dtype)]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
    coder = av.CodecContext.create("png", "w")
    # For one picture, threads take longer to start than to work.
    coder.thread_count = 1
    coder.width, coder.height = frame.width, frame.height
    coder.pix_fmt, coder.time_base = form, Fraction(1, 1)
    packets = [*coder.encode(frame), *coder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def from_png(data: bytes) -> np.ndarray[Any, Any]:
    """The pixels of a PNG of ours.

    Raises:
        ValueError: it is none.
    """
    coder = av.CodecContext.create("png", "r")
    try:
        frames = [*coder.decode(av.Packet(data)), *coder.decode(None)]
    except FFmpegError as error:
        raise ValueError(f"not a PNG: {error}") from error
    if len(frames) != 1 or frames[0].format.name not in _FORMATS.values():
        raise ValueError("not a PNG of ours")
    found: np.ndarray[Any, Any] = frames[0].to_ndarray()
    pixels = found.astype(found.dtype.newbyteorder("="), copy=False)
    pixels.flags.writeable = False
    return pixels
