"""What is seen in the frames."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from stope.errors import InputError
from stope.models.dataprep import (
    DataPrepConfig,
    Detections,
    FrameBoxes,
    FrameRecord,
    Frames,
    largest,
)
from stope.models.frozen import Frozen
from stope.models.vision import Digest
from stope.steps.context import StepContext
from stope.units import Unit
from stope.vision.detector import STUDY_LONGEST, Detector
from stope.vision.detectors import STORED, open_detector
from stope.vision.image import Image, fitted
from stope.vision.memory import at_once
from stope.vision.steps.holding import hold


class Studied(Frozen):
    """What a detector keeps of a video that it has studied: an array."""

    digest: Digest


async def detect_subjects(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Look at every frame.

    Raises:
        InputError: nothing is seen in any of them.
    """
    frames = (await step.need("frames", Frames)).frames
    step.note("opening the detector")
    detector = await _opened(step)
    studied = await _study(step, detector, frames)

    async def look(unit: Unit[FrameRecord]) -> FrameBoxes:
        frame = unit.item
        pixels = await step.load(frame.digest, np.ndarray)
        known = studied.get(frame.video)
        reference = None if known is None else await step.load(known, np.ndarray)
        boxes = await asyncio.to_thread(detector.detect, pixels, frame.index, reference)
        return FrameBoxes(boxes=boxes)

    done = await step.run_units(
        [
            step.unit(
                frame.id,
                frame,
                "look",
                detector.identity,
                frame.digest,
                frame.index,
                studied.get(frame.video),
                start=frame.time,
                end=frame.time,
            )
            for frame in frames
        ],
        look,
        output=FrameBoxes,
        concurrency=at_once(largest(frames)),
    )
    found = tuple(done.outputs.get(frame.id) for frame in frames)
    boxes = sum(len(item.boxes) for item in found if item is not None)
    if boxes == 0:
        raise InputError(
            f"The detector {step.config.detector} sees nothing in {len(frames)} frames; try "
            "another --detector, more --frames, or a lower --min-score."
        )
    step.metadata["boxes"] = boxes
    step.metadata["frames_with_boxes"] = sum(bool(item and item.boxes) for item in found)
    return {"detections": Detections(detector=detector.identity, frames=found)}


async def _opened(step: StepContext[DataPrepConfig]) -> Detector:
    config = step.config
    if not config.detector.startswith(STORED):
        return await asyncio.to_thread(open_detector, config.detector, config.min_score)
    digest = config.detector.removeprefix(STORED)
    file = step.scratch / f"{digest}.onnx"
    await step.artifacts.get_to_file(digest, file, "detector")
    return await asyncio.to_thread(open_detector, config.detector, config.min_score, file)


async def _study(
    step: StepContext[DataPrepConfig], detector: Detector, frames: Sequence[FrameRecord]
) -> dict[int, Digest]:
    """What the detector has to know of each video before, where it has to know anything."""
    if not detector.studies:
        return {}

    async def study(unit: Unit[list[FrameRecord]]) -> Studied:
        seen: list[Image] = []
        for frame in unit.item:
            # Shrunk one by one: all of them as large as they are might not fit into the memory.
            pixels = await step.load(frame.digest, np.ndarray)
            seen.append((await asyncio.to_thread(fitted, pixels, STUDY_LONGEST))[0])
        return Studied(digest=await step.put(await asyncio.to_thread(detector.study, seen)))

    units: list[Unit[list[FrameRecord]]] = []
    for number, group in groupby(frames, key=lambda frame: frame.video):
        of_video = list(group)
        count = min(detector.studies, len(of_video))
        chosen = [of_video[place * len(of_video) // count] for place in range(count)]
        digests = [frame.digest for frame in chosen]
        units.append(
            step.unit(f"study_video{number + 1}", chosen, "study", detector.identity, digests)
        )
    done = await step.run_units(units, study, output=Studied)
    if done.reused:
        await hold(step, (item.digest for item in done.outputs.values()), "background")
    numbers = dict.fromkeys(frame.video for frame in frames)
    return {
        number: done.outputs[f"study_video{number + 1}"].digest
        for number in numbers
        if f"study_video{number + 1}" in done.outputs
    }
