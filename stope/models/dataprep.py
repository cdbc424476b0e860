"""Data preparation: what is asked for, what its steps hand on, and the data set it ends with."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.vision import (
    Augmentation,
    Box,
    Digest,
    FieldColour,
    Rectangle,
    Video,
    VideoProbe,
)


class Background(StrEnum):
    """What is taken for the background: the field's colour, or nothing."""

    FIELD = "field"
    OFF = "off"


class GroupBy(StrEnum):
    """What a class of the data set is, and what never stands in both of its sets."""

    SUBJECT = "subject"
    FRAME = "frame"


class SetName(StrEnum):
    """The sets of a data set, named as those who load it expect."""

    TRAIN = "train"
    VALIDATION = "validation"


class DataPrepConfig(Frozen):
    """Everything of a request that decides the data set."""

    detector: str = Field(
        default="person",
        description="person, face, motion, or onnx:DIGEST of a model among the artifacts",
    )
    min_score: float | None = Field(
        default=None, description="boxes below it are left out; the detector's own when absent"
    )
    frames: int = Field(default=20, ge=1, le=100_000, description="of each video")
    background: Background = Background.FIELD
    margin: float = Field(
        default=0.1, ge=0, le=2, description="around a box, as a share of its sides"
    )
    augment: int = Field(default=2, ge=0, le=100, description="images made of each crop")
    augment_validation: bool = False
    by: GroupBy = GroupBy.SUBJECT
    validation: float = Field(
        default=0.2, gt=0, lt=1, description="the share of the groups that goes to validation"
    )
    seed: int = Field(default=0, ge=0, lt=2**63)


class Videos(Frozen):
    """The videos of a job in order; one that was given twice is there once."""

    videos: tuple[Video, ...]


class Probes(Frozen):
    """What the videos are, in their order."""

    probes: tuple[VideoProbe, ...]


class FrameRecord(Frozen):
    """A frame that was taken: of which video (index), when it is shown there, and its pixels."""

    video: int = Field(ge=0)
    index: int = Field(ge=0, description="among the frames taken of this video")
    time: float = Field(description="seconds of the video's own time")
    pts: int = Field(description="the same in units of the stream")
    width: int
    height: int
    digest: Digest = Field(description="of the pixels, an array [height, width, 3] in RGB")

    @property
    def id(self) -> str:
        """Its name: of units, and in a data set by frames its class."""
        return frame_id(self.video, self.index)


class Frames(Frozen):
    """The frames of all videos, by video and time."""

    frames: tuple[FrameRecord, ...]


def largest(frames: Iterable[FrameRecord]) -> int:
    """The pixels of the largest of some frames."""
    return max((frame.width * frame.height for frame in frames), default=0)


class MaskRecord(Frozen):
    """Where a frame shows the field: an array of ``stope.vision.background.mask_bits``.

    ``share`` is how much of the frame it is, 0 to 1.
    """

    digest: Digest
    share: float


class Backgrounds(Frozen):
    """The field's colour of each video, and each frame's mask; None where there is no field."""

    fields: tuple[FieldColour | None, ...]
    masks: tuple[MaskRecord | None, ...]


class FrameBoxes(Frozen):
    """What was seen in a frame, the surest first."""

    boxes: tuple[Box, ...]


class Detections(Frozen):
    """What was seen in each frame; None where a frame could not be looked at."""

    detector: str
    frames: tuple[FrameBoxes | None, ...]


class CropRecord(Frozen):
    """What was cut out of a frame: ``frame`` is its place in ``Frames``.

    ``look`` says what colours it has, in thousandths, for telling subjects apart.
    """

    id: str
    frame: int
    box: Box
    rectangle: Rectangle
    digest: Digest = Field(
        description="of its PNG; of its pixels, before its background is removed"
    )
    look: tuple[int, ...]
    subject: str = ""


class FrameCrops(Frozen):
    """The crops of one frame."""

    crops: tuple[CropRecord, ...]


class Crops(Frozen):
    """All crops, by frame."""

    crops: tuple[CropRecord, ...]

    @property
    def by_id(self) -> dict[str, CropRecord]:
        """The same by name."""
        return {crop.id: crop for crop in self.crops}


class AugmentedImage(Frozen):
    """What was made of a crop, and its PNG."""

    augmentation: Augmentation
    digest: Digest


class CropImages(Frozen):
    """What was made of one crop."""

    images: tuple[AugmentedImage, ...]


class Augmented(Frozen):
    """What was made of each crop, by the crop's name."""

    crops: dict[str, CropImages]


class ImageRecord(Frozen):
    """One image of a data set and where it comes from. ``path`` is below the data set's folder."""

    path: str
    digest: Digest = Field(description="of the file")
    set: SetName
    label: str
    video: Digest
    frame: int = Field(description="among the frames taken of its video")
    time: float = Field(description="of its frame, in seconds of the video's own time")
    box: Box
    crop: Rectangle = Field(description="what was cut out: the box with its margin")
    detector: str
    subject: str
    augmentation: Augmentation | None = None


class Dataset(Frozen):
    """A finished data set: its images, and a contact sheet (a PNG) for each set that has any.

    ``notes`` say what a person should know of it, such as a set that is empty.
    """

    images: tuple[ImageRecord, ...]
    sheets: dict[SetName, Digest]
    videos: tuple[Video, ...]
    config: DataPrepConfig
    notes: tuple[str, ...] = ()


class DatasetSummary(Frozen):
    """A data set in numbers."""

    videos: int
    frames: int
    boxes: int
    subjects: int
    images: dict[SetName, int]
    classes: dict[SetName, int]
    augmented: int
    notes: tuple[str, ...] = ()


def frame_id(video: int, index: int) -> str:
    """The name of a frame, from its video's place and its own, both from 0."""
    return f"video{video + 1}_frame{index + 1:05d}"


def subject_id(video: int, number: int) -> str:
    """The name of a subject of a video; both from 0."""
    return f"video{video + 1}_subject{number + 1:04d}"
