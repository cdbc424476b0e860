"""Detectors by the name a user gives them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stope.errors import UsageError

if TYPE_CHECKING:
    # Clients know the names without the packages of the engines.
    from stope.vision.detector import Detector

BUNDLED = ("person", "face", "motion")
"""Those that come with OpenCV."""

STORED = "onnx:"
"""Before the digest of a model among the artifacts."""


def check_detector(name: str) -> None:
    """Whether there is such a detector; a file counts when it is there.

    Raises:
        UsageError: there is not.
    """
    if name in BUNDLED:
        return
    if not name.lower().endswith(".onnx"):
        raise UsageError(
            f"There is no detector {name!r}; there are {', '.join(BUNDLED)}, and any detection "
            "model given as a FILE.onnx."
        )
    if not Path(name).is_file():
        raise UsageError(f"The detection model {name} does not exist; check the path.")


def open_detector(name: str, min_score: float | None = None, model: Path | None = None) -> Detector:
    """A detector, ready to look.

    Args:
        name: one of ``BUNDLED``; any other is taken from ``model``.
        min_score: boxes below it are left out; None: the detector's own limit.
        model: an ONNX file.

    Raises:
        UsageError: there is none of that name.
        ModelFileError: the file is no detection model of a known form.
    """
    # Each imported where it is needed: a person's detector does not load the ONNX runtime.
    if name == "person":
        from stope.vision.people import PeopleDetector

        return PeopleDetector(min_score)
    if name == "face":
        from stope.vision.faces import FaceDetector

        return FaceDetector(min_score)
    if name == "motion":
        from stope.vision.motion import MotionDetector

        return MotionDetector(min_score)
    if model is None:
        raise UsageError(f"There is no detector {name!r}; there are {', '.join(BUNDLED)}.")
    from stope.vision.onnx import OnnxDetector

    return OnnxDetector(model, min_score)
