"""A detector that finds what it is told to: for tests of what comes after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stope.models.vision import Box
from stope.vision.detector import Found, boxes_of, without_study
from stope.vision.image import Image


class ScriptedDetector:
    """Finds given things in given frames, whatever is to be seen there.

    Args:
        script: by frame index. A frame that is not in it fails loudly.
    """

    def __init__(self, script: Mapping[int, Sequence[Found]]) -> None:
        self._script = dict(script)
        self.asked: list[int] = []
        """Frames that were looked at, in that order."""

    @property
    def identity(self) -> str:
        """See ``Detector``."""
        return f"scripted {sorted(self._script.items())}"

    @property
    def studies(self) -> int:
        """See ``Detector``."""
        return 0

    def study(self, frames: Sequence[Image]) -> Image:
        """See ``Detector``."""
        raise without_study("scripted")

    def detect(self, frame: Image, index: int, studied: Image | None = None) -> tuple[Box, ...]:
        """See ``Detector``."""
        if index not in self._script:
            raise AssertionError(f"the script has nothing for frame {index}")
        self.asked.append(index)
        return boxes_of(self._script[index], frame, index, overlap=0.95)
