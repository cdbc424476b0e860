"""What is cut out of a frame, and how it looks without its background."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from stope.models.vision import Box, Rectangle
from stope.vision.image import Image, Mask


def crop_rectangle(box: Box, width: int, height: int, margin: float) -> Rectangle:
    """A box with so much more on every side, as a share of its own; clipped to the frame."""
    across, down = round(box.width * margin), round(box.height * margin)
    left, top = max(0, box.x - across), max(0, box.y - down)
    right, bottom = min(width, box.right + across), min(height, box.bottom + down)
    return left, top, right - left, bottom - top


Pixels = TypeVar("Pixels", bound=npt.NDArray[Any])


def cut(frame: Pixels, rectangle: Rectangle) -> Pixels:
    """A copy of a part of a frame, or of its mask; the whole can be forgotten."""
    x, y, width, height = rectangle
    return cast("Pixels", frame[y : y + height, x : x + width].copy())


def without_background(crop: Image, background: Mask) -> Image:
    """A crop as RGBA, transparent where its background is.

    What is transparent is black as well: those who load pictures as RGB drop the alpha channel, and
    would see the background again.

    Args:
        crop: RGB.
        background: True is background; of the crop's height and width.
    """
    alpha = np.where(background, 0, 255).astype(np.uint8)
    colours = np.where(background[..., np.newaxis], 0, crop).astype(np.uint8)
    return np.dstack([colours, alpha])
