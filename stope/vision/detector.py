"""The detection port: what can be seen in a frame, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stope.models.vision import Box
from stope.vision.image import Image

STUDY_LONGEST = 640
"""Frames are studied at this size: their longer side in pixels."""


class Detector(Protocol):
    """Finds things in frames.

    Equal frames give equal boxes, in an order of their own: the surest first. Calls may come from
    several threads at once.
    """

    @property
    def identity(self) -> str:
        """Everything about the engine that decides what it finds; part of every unit's key."""

    @property
    def studies(self) -> int:
        """How many frames of a video it wants to see before the first is looked at."""

    def study(self, frames: Sequence[Image]) -> Image:
        """What it needs to know of a video, such as how it looks with nothing in it.

        Args:
            frames: as many as it ``studies``, fewer where there are not so many; never none. Each
                is shrunk to ``STUDY_LONGEST``, or larger: what is gives the same.
        """

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """What is in a frame.

        Args:
            frame: RGB, shape ``(height, width, 3)``.
            index: of the frame, for its boxes.
            studied: what ``study`` gave; None where it ``studies`` nothing.

        Returns:
            Boxes within the frame, the surest first; of boxes of one thing only the surest.
        """


Found = tuple[float, float, float, float, float, str]
"""x, y, width, height in pixels of the frame, score, label; as an engine says it."""


def boxes_of(found: Sequence[Found], frame: Image, index: int, overlap: float) -> tuple[Box, ...]:
    """What an engine found as boxes: clipped to the frame, the surest first.

    Of two of a label that overlap by more (intersection over union), the surer stays. What lies
    outside the frame, or is less than a pixel of it, is left out.
    """
    height, width = frame.shape[:2]
    candidates: list[Box] = []
    for x, y, wide, high, score, label in found:
        left, top = max(0, round(x)), max(0, round(y))
        right, bottom = min(width, round(x + wide)), min(height, round(y + high))
        if right > left and bottom > top:
            candidates.append(
                Box(
                    frame=index,
                    x=left,
                    y=top,
                    width=right - left,
                    height=bottom - top,
                    score=round(score, 6),
                    label=label,
                )
            )
    candidates.sort(key=lambda box: (-box.score, box.y, box.x, box.height, box.width, box.label))
    kept: list[Box] = []
    for box in candidates:
        if all(box.label != other.label or box.overlap(other) <= overlap for other in kept):
            kept.append(box)
    return tuple(kept)


def without_study(name: str) -> AssertionError:
    """What is raised by ``study`` of an engine that wants to see nothing before."""
    return AssertionError(f"the {name} detector studies no frames")
