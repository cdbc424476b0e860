"""Which crops of a video show the same subject.

Sampled frames lie seconds apart, so a subject has moved by then: where it is says less than how it
looks. Boxes of one frame are joined to the subjects seen before by the assignment with the greatest
sum of likenesses (Kuhn, 1955), a likeness being made of both. It is a heuristic: who changes much,
or looks like somebody else, may be split or joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from stope.models.vision import Box
from stope.vision.image import Image, hsv

_HUES, _SATURATIONS, _VALUES = 12, 3, 4
_LOOKS, _NEAR = 0.7, 0.3
"""What the two parts of a likeness count."""

_LEAST = 0.5
"""A likeness below it is of two subjects."""

_PATIENCE = 5
"""Frames for which a subject may be out of sight."""

_SCALE = 1000

Look = tuple[int, ...]
"""How a crop looks: the shares of its colours, in thousandths."""


def look_of(crop: Image) -> Look:
    """How a crop looks. Its middle counts: what is at the edge may be somebody else."""
    height, width = crop.shape[:2]
    middle = crop[height // 8 : height - height // 8, width // 8 : width - width // 8, :3]
    pixels = hsv(np.ascontiguousarray(middle if middle.size else crop[..., :3]))
    pixels = pixels.reshape(-1, 3).astype(np.int64)
    hue = pixels[:, 0] * _HUES // 180
    saturation = pixels[:, 1] * _SATURATIONS // 256
    value = pixels[:, 2] * _VALUES // 256
    # A grey pixel has a hue of 0 that means nothing, and a black one a saturation.
    hue = np.where(saturation == 0, 0, hue)
    index = (hue * _SATURATIONS + saturation) * _VALUES + value
    counts = np.bincount(index, minlength=_HUES * _SATURATIONS * _VALUES)
    return tuple((counts * _SCALE // len(pixels)).tolist())


@dataclass
class _Subject:
    number: int
    box: Box
    look: Look
    seen: int


def link_subjects(frames: Sequence[Sequence[tuple[Box, Look]]]) -> list[list[int]]:
    """The subject of every box: numbers from 0 in the order in which subjects appear.

    Args:
        frames: of one video in order; the boxes of each, and how they look.

    Returns:
        Numbers in the same places. Two boxes of one frame never have the same.
    """
    subjects: list[_Subject] = []
    found: list[list[int]] = []
    for at, seen in enumerate(frames):
        known = [subject for subject in subjects if at - subject.seen <= _PATIENCE]
        numbers = [-1] * len(seen)
        if known and seen:
            likeness = np.array(
                [[_likeness(subject, box, look) for box, look in seen] for subject in known]
            )
            rows, columns = linear_sum_assignment(likeness, maximize=True)
            for row, column in zip(rows, columns, strict=True):
                if likeness[row, column] >= _LEAST:
                    subject = known[row]
                    subject.box, subject.look = seen[column]
                    subject.seen = at
                    numbers[column] = subject.number
        for place, (box, look) in enumerate(seen):
            if numbers[place] < 0:
                numbers[place] = len(subjects)
                subjects.append(_Subject(len(subjects), box, look, at))
        found.append(numbers)
    return found


def _likeness(subject: _Subject, box: Box, look: Look) -> float:
    """0 to 1; 0 for things of different labels."""
    if subject.box.label != box.label:
        return 0.0
    shared = sum(map(min, subject.look, look)) / max(1, min(sum(subject.look), sum(look)))
    across = (subject.box.x + subject.box.right - box.x - box.right) / 2
    down = (subject.box.y + subject.box.bottom - box.y - box.bottom) / 2
    size = np.hypot(subject.box.width + box.width, subject.box.height + box.height) / 2
    near = float(np.exp(-np.hypot(across, down) / size))
    return _LOOKS * shared + _NEAR * near
