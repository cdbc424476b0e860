"""What moves before a camera that does not: the difference from how the place looks without it.

The background is the median of frames spread over the whole video, each pixel by itself: what is
seen there most of the time. A camera that pans has no such background, and everything moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from stope.models.vision import Box
from stope.vision.detector import STUDY_LONGEST, Found, boxes_of
from stope.vision.image import Image, fitted

_STUDIED = 15
"""Frames for the median: more hardly change it."""

_DIFFERENCE = 28
"""Of 255, in the channel that differs most."""

_LEAST_AREA = 0.001
"""Of the frame: less is a leaf."""

_LEAST_SCORE = 0.0
_OVERLAP = 0.5


class MotionDetector:
    """See the module. Its score is the mean difference from the background, 0 to 1.

    Args:
        min_score: boxes below it are left out.
    """

    def __init__(self, min_score: float | None = None) -> None:
        self._least = _LEAST_SCORE if min_score is None else min_score

    @property
    def identity(self) -> str:
        """See ``Detector``."""
        return (
            f"motion 1 {cv2.__version__} {self._least} {STUDY_LONGEST} {_STUDIED} {_DIFFERENCE} "
            f"{_LEAST_AREA} {_OVERLAP}"
        )

    @property
    def studies(self) -> int:
        """See ``Detector``."""
        return _STUDIED

    def study(self, frames: Sequence[Image]) -> Image:
        """The background, at most 640 pixels wide or high."""
        small = [fitted(frame, STUDY_LONGEST)[0] for frame in frames]
        return np.asarray(np.median(np.stack(small), axis=0), dtype=np.uint8)

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """See ``Detector``."""
        if studied is None:
            raise AssertionError("the motion detector has not studied the video")
        small, scale = fitted(frame, STUDY_LONGEST)
        difference = cv2.absdiff(small, studied).max(axis=2)
        moved = (cv2.GaussianBlur(difference, (5, 5), 0) >= _DIFFERENCE).astype(np.uint8)
        # An arm that looks like what is behind it does not cut a person in two.
        reach = max(3, round(0.02 * max(small.shape[:2]))) | 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        moved = cv2.morphologyEx(moved, cv2.MORPH_CLOSE, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(moved, connectivity=8)
        found: list[Found] = []
        for number in range(1, count):
            x, y, wide, high, area = (int(value) for value in stats[number])
            if area < _LEAST_AREA * moved.size:
                continue
            part = difference[y : y + high, x : x + wide]
            score = float(part[labels[y : y + high, x : x + wide] == number].mean()) / 255
            if score >= self._least:
                found.append((x / scale, y / scale, wide / scale, high / scale, score, "motion"))
        return boxes_of(found, frame, index, _OVERLAP)
