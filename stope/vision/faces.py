"""OpenCV's bundled face detector: a boosted cascade of simple features.

Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001. It
finds faces seen from the front.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
from cv2.data import haarcascades

from stope.errors import UsageError
from stope.models.vision import Box
from stope.vision.detector import Found, boxes_of, without_study
from stope.vision.image import Image, grey

_CASCADE = "haarcascade_frontalface_default.xml"
_SCALE, _NEIGHBOURS = 1.1, 5
_LEAST_PIXELS, _LEAST_SHARE = 24, 40
"""A face has at least so many pixels, and at least this fraction of the frame's shorter side."""

_LEAST_SCORE = 2.0
"""Most of what is below is no face."""

_OVERLAP = 0.3


class FaceDetector:
    """See the module. Its score is the certainty of the cascade's last stage.

    Args:
        min_score: boxes below it are left out.
    """

    def __init__(self, min_score: float | None = None) -> None:
        self._least = _LEAST_SCORE if min_score is None else min_score
        # A cascade keeps state while it looks: every thread has its own.
        self._engines = threading.local()
        self._engine()

    @property
    def identity(self) -> str:
        """See ``Detector``."""
        return (
            f"face cascade 1 {cv2.__version__} {_CASCADE} {self._least} {_SCALE} {_NEIGHBOURS} "
            f"{_LEAST_PIXELS} {_LEAST_SHARE} {_OVERLAP}"
        )

    @property
    def studies(self) -> int:
        """See ``Detector``."""
        return 0

    def study(self, frames: Sequence[Image]) -> Image:
        """See ``Detector``."""
        raise without_study("face")

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """See ``Detector``."""
        least = max(_LEAST_PIXELS, min(frame.shape[:2]) // _LEAST_SHARE)
        rectangles, _, weights = self._engine().detectMultiScale3(
            grey(frame),
            scaleFactor=_SCALE,
            minNeighbors=_NEIGHBOURS,
            minSize=(least, least),
            outputRejectLevels=True,
        )
        found: list[Found] = [
            (float(x), float(y), float(wide), float(high), float(weight), "face")
            for (x, y, wide, high), weight in zip(rectangles, weights, strict=True)
            if float(weight) >= self._least
        ]
        return boxes_of(found, frame, index, _OVERLAP)

    def _engine(self) -> cv2.CascadeClassifier:
        engine: cv2.CascadeClassifier | None = getattr(self._engines, "cascade", None)
        if engine is None:
            file = Path(haarcascades) / _CASCADE
            engine = cv2.CascadeClassifier(str(file))
            if engine.empty():
                raise UsageError(
                    f"OpenCV's face detector is not at {file}; install the extra `vision` again: "
                    "pip install --force-reinstall 'stope[vision]'."
                )
            self._engines.cascade = engine
        return engine
