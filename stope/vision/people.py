"""OpenCV's bundled people detector: histograms of oriented gradients and a linear classifier.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005. It finds people
who stand upright and are seen whole, from 128 pixels of height.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from stope.models.vision import Box
from stope.vision.detector import Found, boxes_of, without_study
from stope.vision.image import Image, bgr, fitted

_LONGEST = 1280
"""Larger frames are shrunk: time grows with their area."""

_STRIDE, _PADDING, _SCALE = (8, 8), (16, 16), 1.05
_WINDOW = (64, 128)
"""Width and height of what the classifier looks at."""

_INSIDE = (0.1, 0.07, 0.8, 0.85)
"""Where the person is in a window, x, y, width and height of its sides: the classifier was trained
on people with room around them."""

_LEAST_SCORE = 0.5
_OVERLAP = 0.4


class PeopleDetector:
    """See the module. Its score is the distance from the classifier's boundary.

    Args:
        min_score: boxes below it are left out.
    """

    def __init__(self, min_score: float | None = None) -> None:
        self._least = _LEAST_SCORE if min_score is None else min_score
        self._engine = cv2.HOGDescriptor()
        self._engine.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    @property
    def identity(self) -> str:
        """See ``Detector``."""
        return f"person hog 2 {cv2.__version__} {self._least} {_LONGEST} {_SCALE} {_OVERLAP}"

    @property
    def studies(self) -> int:
        """See ``Detector``."""
        return 0

    def study(self, frames: Sequence[Image]) -> Image:
        """See ``Detector``."""
        raise without_study("person")

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """See ``Detector``."""
        small, scale = fitted(frame, _LONGEST)
        rectangles, weights = self._engine.detectMultiScale(
            bgr(_roomy(small)), winStride=_STRIDE, padding=_PADDING, scale=_SCALE
        )
        found: list[Found] = []
        for (x, y, wide, high), weight in zip(rectangles, weights, strict=True):
            score = float(np.ravel(weight)[0])
            if score >= self._least:
                left, top, across, down = _INSIDE
                found.append(
                    (
                        (x + left * wide) / scale,
                        (y + top * high) / scale,
                        across * wide / scale,
                        down * high / scale,
                        score,
                        "person",
                    )
                )
        return boxes_of(found, frame, index, _OVERLAP)


def _roomy(frame: Image) -> Image:
    """A frame in which the window fits, with its last row and column repeated where it did not.

    Given less, OpenCV counts its windows below zero, and reads far beyond the picture. The origin
    stays where it is.
    """
    down, across = max(0, _WINDOW[1] - frame.shape[0]), max(0, _WINDOW[0] - frame.shape[1])
    if not down and not across:
        return frame
    made = cv2.copyMakeBorder(frame, 0, down, 0, across, cv2.BORDER_REPLICATE)
    return np.asarray(made, dtype=np.uint8)
