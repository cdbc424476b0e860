"""What of the frames is background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stope.models.dataprep import (
    Background,
    Backgrounds,
    DataPrepConfig,
    FrameRecord,
    Frames,
    MaskRecord,
    largest,
)
from stope.models.vision import FieldColour
from stope.steps.context import StepContext
from stope.units import Unit
from stope.vision.background import (
    ColourCount,
    background_mask,
    count_colours,
    dominant_colour,
    mask_bits,
)
from stope.vision.image import Image
from stope.vision.memory import at_once
from stope.vision.steps.holding import hold


async def calculate_background_mask(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """The field's colour of every video, and where each frame shows it; nothing where it is off."""
    frames = (await step.need("frames", Frames)).frames
    if step.config.background is Background.OFF:
        videos = frames[-1].video + 1
        none = Backgrounds(fields=(None,) * videos, masks=(None,) * len(frames))
        return {"backgrounds": none}
    beside = at_once(largest(frames))
    fields = await _fields(step, frames, beside)
    masks = await _masks(step, frames, fields, beside)
    for number, field in enumerate(fields, start=1):
        step.metadata[f"video{number}"] = (
            "no field" if field is None else f"hues {field.low} to {field.high} of 180"
        )
    return {"backgrounds": Backgrounds(fields=fields, masks=masks)}


async def _fields(
    step: StepContext[DataPrepConfig], frames: tuple[FrameRecord, ...], beside: int
) -> tuple[FieldColour | None, ...]:
    async def count(unit: Unit[FrameRecord]) -> ColourCount:
        pixels = await step.load(unit.item.digest, np.ndarray)
        return await asyncio.to_thread(count_colours, pixels)

    counted = await step.run_units(
        [step.unit(f"colours_{frame.id}", frame, "colours", frame.digest) for frame in frames],
        count,
        output=ColourCount,
        concurrency=beside,
    )
    return tuple(
        dominant_colour(
            [
                counted.outputs[f"colours_{frame.id}"]
                for frame in frames
                if frame.video == number and f"colours_{frame.id}" in counted.outputs
            ]
        )
        for number in range(frames[-1].video + 1)
    )


async def _masks(
    step: StepContext[DataPrepConfig],
    frames: tuple[FrameRecord, ...],
    fields: tuple[FieldColour | None, ...],
    beside: int,
) -> tuple[MaskRecord | None, ...]:
    async def cover(unit: Unit[tuple[FrameRecord, FieldColour]]) -> MaskRecord:
        frame, field = unit.item
        pixels = await step.load(frame.digest, np.ndarray)
        bits, share = await asyncio.to_thread(_covered, pixels, field)
        return MaskRecord(digest=await step.put(bits), share=share)

    units: list[Unit[tuple[FrameRecord, FieldColour]]] = []
    for frame in frames:
        field = fields[frame.video]
        if field is not None:
            units.append(step.unit(f"mask_{frame.id}", (frame, field), "mask", frame.digest, field))
    covered = await step.run_units(units, cover, output=MaskRecord, concurrency=beside)
    if covered.reused:
        await hold(step, (mask.digest for mask in covered.outputs.values()), "mask")
    return tuple(covered.outputs.get(f"mask_{frame.id}") for frame in frames)


def _covered(pixels: Image, field: FieldColour) -> tuple[NDArray[np.uint8], float]:
    """Where a frame shows the field, and how much of it does: 0 to 1."""
    mask = background_mask(pixels, field)
    return mask_bits(mask), round(np.count_nonzero(mask) / mask.size, 6)
