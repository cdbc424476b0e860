"""The background of pictures taken over a field: its dominant colour.

Grass, clay, ice and halls' floors differ in brightness from place to place, little in hue. So the
field is the most frequent hue among the pixels that have one, with the saturation and brightness
that most of these pixels reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.vision import FieldColour, Rectangle
from stope.vision.image import Image, Mask, fitted, hsv

_HUES = 180
_BINS, _STEPS = 60, 16
"""Hues are counted by threes, saturations and values by sixteens: a count stays small."""

_WIDTH, _STEP = _HUES // _BINS, 256 // _STEPS
_LONGEST = 320
"""Colours are counted in a picture of this size."""

_LEAST_SATURATION, _LEAST_VALUE = 40, 30
"""Below these a hue says nothing: grey and black."""

_SPREAD = 4
"""Bins on either side of the most frequent one that belong to it."""

_LEAST_SHARE = 0.2
"""What covers less of the pictures is no field."""

_QUANTILE = 0.02
"""The palest and darkest of the field's pixels are left to others."""


class ColourCount(Frozen):
    """The colours of one picture: of its pixels that have a hue, how many have which.

    ``saturations`` and ``values`` have a row of 16 counts for each of the 60 bins of hues.
    """

    pixels: int = Field(ge=1)
    saturations: tuple[tuple[int, ...], ...]
    values: tuple[tuple[int, ...], ...]


def count_colours(image: Image) -> ColourCount:
    """The colours of a picture, for ``dominant_colour``."""
    small, _ = fitted(image, _LONGEST)
    pixels = hsv(small).reshape(-1, 3)
    has_hue = (pixels[:, 1] >= _LEAST_SATURATION) & (pixels[:, 2] >= _LEAST_VALUE)
    coloured = pixels[has_hue].astype(np.int64)
    bins = coloured[:, 0] // _WIDTH

    def by_hue(channel: int) -> tuple[tuple[int, ...], ...]:
        places = bins * _STEPS + coloured[:, channel] // _STEP
        counts = np.bincount(places, minlength=_BINS * _STEPS).reshape(_BINS, _STEPS)
        return tuple(tuple(row) for row in counts.tolist())

    return ColourCount(pixels=len(pixels), saturations=by_hue(1), values=by_hue(2))


def dominant_colour(counts: Sequence[ColourCount]) -> FieldColour | None:
    """The colour that covers most of some pictures; None where none covers a fifth of them."""
    pixels = sum(count.pixels for count in counts)
    if not pixels:
        return None
    saturations = np.sum([count.saturations for count in counts], axis=0)
    values = np.sum([count.values for count in counts], axis=0)
    hues = saturations.sum(axis=1)
    around = np.arange(-_SPREAD, _SPREAD + 1)
    covered = [int(hues[(middle + around) % _BINS].sum()) for middle in range(_BINS)]
    # Of ranges that cover as much, the one whose middle has the most of its own.
    middle = max(range(_BINS), key=lambda at: (covered[at], int(hues[at]), -at))
    share = covered[middle] / pixels
    if share < _LEAST_SHARE:
        return None
    members = (middle + around) % _BINS
    return FieldColour(
        low=int((middle - _SPREAD) % _BINS) * _WIDTH,
        high=int((middle + _SPREAD) % _BINS) * _WIDTH + _WIDTH - 1,
        saturation=max(_LEAST_SATURATION, _reached(saturations[members])),
        value=max(_LEAST_VALUE, _reached(values[members])),
        share=round(share, 6),
    )


def _reached(counts: npt.NDArray[np.int64]) -> int:
    """What nearly all pixels reach, of 255; ``counts`` has a row for each bin of hues."""
    steps = counts.sum(axis=0)
    below = np.cumsum(steps) / steps.sum()
    return int(np.searchsorted(below, _QUANTILE, side="right")) * _STEP


def background_mask(image: Image, field: FieldColour) -> Mask:
    """Where a picture shows the field: True is background, shape ``(height, width)``.

    Specks of either kind, of a pixel or two, take on what is around them.
    """
    pixels = hsv(image)
    hue, saturation, value = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    if field.low <= field.high:
        is_hue = (hue >= field.low) & (hue <= field.high)
    else:
        is_hue = (hue >= field.low) | (hue <= field.high)
    mask = is_hue & (saturation >= field.saturation) & (value >= field.value)
    return np.asarray(cv2.medianBlur(mask.astype(np.uint8), 5), dtype=np.bool_)


def mask_bits(mask: Mask) -> npt.NDArray[np.uint8]:
    """A mask as it is stored: eight pixels of a row in a byte, shape ``(height, width / 8)``.

    An eighth to take the digest of, and to keep in memory.
    """
    bits = np.packbits(mask, axis=1)
    # What nobody can change, nobody has to copy.
    bits.flags.writeable = False
    return bits


def mask_part(bits: npt.NDArray[np.uint8], rectangle: Rectangle) -> Mask:
    """A part of the mask that ``mask_bits`` was given."""
    x, y, width, height = rectangle
    rows = np.unpackbits(bits[y : y + height], axis=1, count=x + width)
    return rows[:, x:].view(np.bool_)
