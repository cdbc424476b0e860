"""Pictures as arrays, always in RGB order: OpenCV's BGR is nowhere but here and where it draws."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stope.errors import ArtifactError

Image = npt.NDArray[np.uint8]
"""Shape ``(height, width, 3)``, RGB; with a fourth channel, alpha: 0 where nothing is shown."""

Mask = npt.NDArray[np.bool_]
"""Shape ``(height, width)``."""

_PNG_LEVEL = 3
"""Compression: much above it takes several times longer for a few percent."""


def encode_png(image: Image) -> bytes:
    """A picture as PNG, without loss; equal pictures give equal bytes.

    Args:
        image: RGB, RGBA, or grey of shape ``(height, width)``.
    """
    done, data = cv2.imencode(".png", _swapped(image), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    if not done:
        raise AssertionError(f"an image of shape {image.shape} was not encoded")
    return bytes(data)


def decode_png(data: bytes) -> Image:
    """The picture in a PNG: RGB or RGBA as it was encoded.

    Raises:
        ArtifactError: it is not a picture.
    """
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ArtifactError(
            "A stored image is not a PNG; run the job again with --force to make it anew."
        )
    return _swapped(np.asarray(image, dtype=np.uint8))


def resized(image: Image, width: int, height: int) -> Image:
    """A picture at another size; shrunk by area, so that nothing is skipped."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), dtype=np.uint8)


def fitted(image: Image, longest: int) -> tuple[Image, float]:
    """A picture whose longer side is at most so many pixels, and by what it was shrunk (≤ 1)."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1.0:
        return image, scale
    return resized(image, max(1, round(width * scale)), max(1, round(height * scale))), scale


def grey(image: Image) -> Image:
    """The brightness of an RGB picture, shape ``(height, width)``."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def hsv(image: Image) -> Image:
    """Hue (0 to 179), saturation and value (0 to 255) of an RGB picture."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), dtype=np.uint8)


def bgr(image: Image) -> Image:
    """An RGB picture as OpenCV's own detectors were trained to see it."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _swapped(image: Image) -> Image:
    """Red and blue changed over; grey stays as it is."""
    if image.ndim == 2:
        return image
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(image, order), dtype=np.uint8)
