"""What is known of a video, and what is seen in it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath

from pydantic import Field

from stope.models.frozen import Frozen

Digest = str
"""SHA-256 of a content, 64 lower-case hex digits."""

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in pixels of a frame."""


class Video(Frozen):
    """A video as it was given: where it lies, and the digest and size (bytes) of its content."""

    location: str
    digest: Digest = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=1)

    @property
    def name(self) -> str:
        """Its file name."""
        return PurePosixPath(self.location).name


class VideoProbe(Frozen):
    """What a video's first picture stream is.

    ``start`` and ``end`` are seconds, in the stream's own time, of the first and of the last frame
    that can be decoded. ``width`` and ``height`` are as the picture is shown, turned upright.
    """

    container: str
    codec: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    start: float
    end: float
    frames: int | None = Field(default=None, description="how many it has, where that is known")
    undecodable: float = Field(
        default=0.0, ge=0, description="seconds at the end that cannot be decoded"
    )


class Box(Frozen):
    """Where something was seen: pixels of the original frame, x to the right and y down.

    ``score`` is the detector's own, greater where it is surer; detectors' scales differ.
    """

    frame: int = Field(ge=0, description="index of the sampled frame, from 0")
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    score: float
    label: str

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Its pixels."""
        return self.width * self.height

    def overlap(self, other: Box) -> float:
        """Intersection over union of two boxes of the same or of different frames, 0 to 1."""
        across = min(self.right, other.right) - max(self.x, other.x)
        down = min(self.bottom, other.bottom) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.area + other.area - shared)


class FieldColour(Frozen):
    """The dominant colour of a field: a range of hues, its least saturation and brightness.

    Hues are OpenCV's, 0 to 179; saturation and brightness (value) are 0 to 255. A range whose
    ``low`` is above its ``high`` goes through 179 to 0. ``share`` is how much of the pictures it
    covers, 0 to 1.
    """

    low: int = Field(ge=0, le=179)
    high: int = Field(ge=0, le=179)
    saturation: int = Field(ge=0, le=255)
    value: int = Field(ge=0, le=255)
    share: float = Field(ge=0, le=1)


class AugmentationKind(StrEnum):
    """What an augmentation does to an image."""

    FLIP = "flip"
    ROTATION = "rotation"
    STRETCH = "stretch"
    PARTIAL = "partial"
    OCCLUSION = "occlusion"
    NOISE = "noise"
    COLOUR = "colour"


class Augmentation(Frozen):
    """One augmentation of one image: the same kind and seed make the same picture of it."""

    kind: AugmentationKind
    seed: int = Field(ge=0)
