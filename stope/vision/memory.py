"""How large pictures may be, and how many are worked on at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

CORES = os.cpu_count() or 1
"""Threads that a decoder has, where there is room."""

IN_FLIGHT = CORES + 1
"""Units that a step works on at once, each in a thread of its own, where there is room. While one
is stored and committed, every core has another one to work on."""

MOST_PIXELS = 8192 * 8192
"""Of a picture: two hundred megabytes as RGB. A file of some kilobytes may say that it has more."""

ROOM = 2 << 30
"""Bytes for pictures in work, whatever the number of cores. What is kept besides is bounded by
itself (``stope.steps.cache``), and so is what a unit stores together (``stope.steps.store``)."""

IN_WORK = 24
"""Bytes for each pixel: the frame, the same in another form, and masks."""

AUGMENTED = 144
"""The same while it is augmented: in floating point, some times over."""

DECODED = 3
"""The same of a frame that the decoder holds."""

TOGETHER = 1 << 20
"""Pixels of the pictures of one unit that are held at once, where there are several."""


def at_once(pixels: int, each: int = IN_WORK, most: int = IN_FLIGHT) -> int:
    """How many pictures are worked on at once: fewer where they are large.

    Args:
        pixels: of the largest.
        each: bytes for each pixel.
        most: however small they are.
    """
    return max(1, min(most, ROOM // max(1, pixels * each)))


def in_parts(
    items: Iterable[Item], pixels_of: Callable[[Item], int], most: int = TOGETHER
) -> Iterator[list[Item]]:
    """Items in their order, so many together as have no more pixels than ``most``, or one."""
    part, pixels = list[Item](), 0
    for item in items:
        size = pixels_of(item)
        if part and pixels + size > most:
            yield part
            part, pixels = [], 0
        part.append(item)
        pixels += size
    if part:
        yield part
