"""Data preparation: videos become an image-folder data set of what is seen in them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from stope import names
from stope.models.dataprep import (
    Augmented,
    Backgrounds,
    Crops,
    DataPrepConfig,
    Dataset,
    Detections,
    Frames,
    Probes,
    Videos,
)
from stope.steps.context import StepContext
from stope.steps.definition import DoStep, Step, StepPipeline
from stope.vision.extra import require_vision


def _late(place: str) -> DoStep:
    """The step of a name in ``stope.vision.steps``: imported when it runs.

    Clients and commands know the pipeline without the packages that its steps need.
    """
    module, _, name = place.partition(".")

    async def do(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
        require_vision()
        found = cast("DoStep", getattr(import_module(f"stope.vision.steps.{module}"), name))
        return await found(step)

    return do


_SPLIT = ("by", "validation", "seed")
"""What decides in which set a crop is."""

PIPELINE = StepPipeline(
    name="dataprep",
    version=3,
    config=DataPrepConfig,
    steps=(
        Step(
            "import_videos",
            _late("videos.import_videos"),
            gives={"videos": Videos},
            queue=names.VISION_QUEUE,
            config=(),
        ),
        Step(
            "load_videos",
            _late("videos.load_videos"),
            needs=("videos",),
            gives={"probes": Probes},
            queue=names.VISION_QUEUE,
            config=("frames",),
        ),
        Step(
            "extract_frames",
            _late("videos.extract_frames"),
            needs=("videos", "probes"),
            gives={"frames": Frames},
            queue=names.VISION_QUEUE,
            config=("frames",),
        ),
        Step(
            "calculate_background_mask",
            _late("background.calculate_background_mask"),
            needs=("frames",),
            gives={"backgrounds": Backgrounds},
            queue=names.VISION_QUEUE,
            config=("background",),
        ),
        Step(
            "detect_subjects",
            _late("subjects.detect_subjects"),
            needs=("frames",),
            gives={"detections": Detections},
            queue=names.VISION_QUEUE,
            config=("detector", "min_score"),
        ),
        Step(
            "extract_crops",
            _late("crops.extract_crops"),
            needs=("frames", "detections"),
            gives={"crops": Crops},
            queue=names.VISION_QUEUE,
            config=("margin",),
        ),
        Step(
            "remove_crop_background",
            _late("crops.remove_crop_background"),
            needs=("frames", "backgrounds", "crops"),
            gives={"cutouts": Crops},
            queue=names.VISION_QUEUE,
            config=(),
        ),
        Step(
            "augment_crops",
            _late("crops.augment_crops"),
            needs=("frames", "cutouts"),
            gives={"augmented": Augmented},
            queue=names.VISION_QUEUE,
            config=("augment", "augment_validation", *_SPLIT),
        ),
        Step(
            "create_training_and_validation_sets",
            _late("sets.create_training_and_validation_sets"),
            needs=("videos", "frames", "detections", "cutouts", "augmented"),
            gives={"dataset": Dataset, "summary": dict},
            queue=names.VISION_QUEUE,
        ),
    ),
    outputs=("dataset", "summary"),
)
