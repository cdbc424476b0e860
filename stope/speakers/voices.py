"""What the embedded diarizer hears in one chunk: the committed output of its units."""

from __future__ import annotations

import base64
import math

import numpy as np

from stope.models.frozen import Frozen
from stope.speakers.clustering import Vectors

WINDOW_SECONDS = 0.8
STEP_SECONDS = 0.6
"""Windows begin this far apart at most."""

_DIMENSIONS = 256

Region = tuple[float, float]


class ChunkVoices(Frozen):
    """The voice prints of one chunk, two or less in every second of speech.

    ``regions`` are the stretches of speech without a pause, as ``(start, end)`` in seconds from the
    chunk's start; their windows are those of ``windows_of``. ``prints`` holds the windows' unit
    vectors as float16, one after another, in Base64.
    """

    regions: tuple[Region, ...]
    prints: str

    @staticmethod
    def packed(vectors: Vectors) -> str:
        """Unit vectors, shape ``(windows, 256)``, as ``prints`` holds them."""
        return base64.b64encode(vectors.astype("<f2").tobytes()).decode()

    def vectors(self) -> Vectors:
        """The voice prints of all windows, shape ``(windows, 256)``."""
        flat = np.frombuffer(base64.b64decode(self.prints), "<f2")
        return flat.reshape(-1, _DIMENSIONS).astype(np.float32)


def windows_of(region: Region) -> list[Region]:
    """Windows of 0.8 s, evenly over a region from its start to its end; a short one is its own."""
    start, end = region
    room = end - start - WINDOW_SECONDS
    if room <= 0:
        return [region]
    steps = math.ceil(room / STEP_SECONDS)
    return [
        (start + room * number / steps, start + room * number / steps + WINDOW_SECONDS)
        for number in range(steps + 1)
    ]
