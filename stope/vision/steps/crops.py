"""From boxes to pictures: cut out, freed of their background, augmented."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from stope.models.dataprep import (
    Augmented,
    AugmentedImage,
    Backgrounds,
    CropImages,
    CropRecord,
    Crops,
    DataPrepConfig,
    Detections,
    FrameCrops,
    FrameRecord,
    Frames,
    SetName,
    largest,
    subject_id,
)
from stope.models.frozen import Frozen
from stope.models.vision import Augmentation, Box, Digest
from stope.steps.context import StepContext
from stope.steps.values import Picture
from stope.units import Unit
from stope.vision.augment import AUGMENT_VERSION, augmented, plan_augmentations
from stope.vision.background import mask_part
from stope.vision.crops import crop_rectangle, cut, without_background
from stope.vision.image import Image
from stope.vision.memory import AUGMENTED, at_once, in_parts
from stope.vision.sets import group_of, sets_of
from stope.vision.steps.holding import hold
from stope.vision.subjects import Look, link_subjects, look_of

_Cut = tuple[int, FrameRecord, tuple[Box, ...]]


class Digests(Frozen):
    """The pictures of a unit, in the order of what it was made of."""

    digests: tuple[Digest, ...]


async def extract_crops(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Cut out what was seen, and tell which crops show the same subject."""
    frames = (await step.need("frames", Frames)).frames
    detections = await step.need("detections", Detections)
    margin = step.config.margin

    async def do(unit: Unit[_Cut]) -> FrameCrops:
        place, frame, boxes = unit.item
        pixels = await step.load(frame.digest, np.ndarray)
        rectangles = [crop_rectangle(box, frame.width, frame.height, margin) for box in boxes]
        looks: list[Look] = []

        def cut_out() -> Iterator[Image]:
            for rectangle in rectangles:
                crop = cut(pixels, rectangle)
                looks.append(look_of(crop))
                yield crop

        # As arrays: they become pictures when their background is known.
        digests = await step.put_all(cut_out())
        return FrameCrops(
            crops=tuple(
                CropRecord(
                    id=f"{frame.id}_{number:02d}",
                    frame=place,
                    box=box,
                    rectangle=rectangle,
                    digest=digest,
                    look=look,
                )
                for number, (box, rectangle, digest, look) in enumerate(
                    zip(boxes, rectangles, digests, looks, strict=True), start=1
                )
            )
        )

    units = [
        step.unit(frame.id, (place, frame, seen.boxes), place, frame, seen)
        for place, (frame, seen) in enumerate(zip(frames, detections.frames, strict=True))
        if seen is not None and seen.boxes
    ]
    done = await step.run_units(units, do, output=FrameCrops, concurrency=at_once(largest(frames)))
    crops = [crop for found in done.outputs.values() for crop in found.crops]
    linked = await asyncio.to_thread(_with_subjects, crops, frames)
    if done.reused:
        await hold(step, (crop.digest for crop in linked), "crop")
    step.metadata["crops"] = len(linked)
    step.metadata["subjects"] = len({crop.subject for crop in linked})
    return {"crops": Crops(crops=tuple(linked))}


def _with_subjects(crops: Sequence[CropRecord], frames: Sequence[FrameRecord]) -> list[CropRecord]:
    """The same crops, each with its subject. A subject belongs to one video."""
    of_frame: dict[int, list[CropRecord]] = {}
    for crop in crops:
        of_frame.setdefault(crop.frame, []).append(crop)
    linked: list[CropRecord] = []
    for video, places in groupby(range(len(frames)), key=lambda place: frames[place].video):
        seen = [of_frame.get(place, []) for place in places]
        looks: list[list[tuple[Box, Look]]] = [
            [(crop.box, crop.look) for crop in found] for found in seen
        ]
        for found, numbers in zip(seen, link_subjects(looks), strict=True):
            linked += [
                crop.model_copy(update={"subject": subject_id(video, number)})
                for crop, number in zip(found, numbers, strict=True)
            ]
    return linked


async def remove_crop_background(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Make pictures of the crops, transparent where they show background, as far as it is known.

    A crop that cannot be made into one is a gap, and in no set.
    """
    frames = (await step.need("frames", Frames)).frames
    masks = (await step.need("backgrounds", Backgrounds)).masks
    crops = (await step.need("crops", Crops)).crops

    async def do(unit: Unit[tuple[Digest | None, list[CropRecord]]]) -> Digests:
        mask_digest, of_frame = unit.item
        bits = None if mask_digest is None else await step.load(mask_digest, np.ndarray)
        made: list[Digest] = []
        for some in in_parts(of_frame, lambda crop: crop.rectangle[2] * crop.rectangle[3]):
            cuts = [(await step.load(crop.digest, np.ndarray), crop) for crop in some]
            made += await step.put_all(_pictures(cuts, bits))
        return Digests(digests=tuple(made))

    units: list[Unit[tuple[Digest | None, list[CropRecord]]]] = []
    for place, group in groupby(crops, key=lambda crop: crop.frame):
        mask, of_frame = masks[place], list(group)
        digest = None if mask is None else mask.digest
        cuts = [(crop.digest, crop.rectangle) for crop in of_frame]
        units.append(step.unit(frames[place].id, (digest, of_frame), digest, cuts))
    done = await step.run_units(units, do, output=Digests, concurrency=at_once(largest(frames)))
    cutouts = [
        crop.model_copy(update={"digest": digest})
        for unit in units
        if unit.id in done.outputs
        for crop, digest in zip(unit.item[1], done.outputs[unit.id].digests, strict=True)
    ]
    if done.reused:
        await hold(step, (crop.digest for crop in cutouts), "cutout")
    step.metadata["cut_out"] = sum(masks[crop.frame] is not None for crop in cutouts)
    return {"cutouts": Crops(crops=tuple(cutouts))}


def _pictures(
    cuts: Iterable[tuple[Image, CropRecord]], bits: NDArray[np.uint8] | None
) -> Iterator[Picture]:
    """The pictures of crops of a frame, freed of what its mask shows."""
    for pixels, crop in cuts:
        if bits is None:
            yield Picture(pixels)
        else:
            yield Picture(without_background(pixels, mask_part(bits, crop.rectangle)))


async def augment_crops(step: StepContext[DataPrepConfig]) -> Mapping[str, object]:
    """Make more pictures of the crops that are learned from."""
    config = step.config
    frames = (await step.need("frames", Frames)).frames
    crops = (await step.need("cutouts", Crops)).crops
    # In a thread: with very many crops it takes seconds, and the heartbeat must not wait.
    planned_of = await asyncio.to_thread(_planned, crops, frames, config)

    async def do(unit: Unit[tuple[CropRecord, tuple[Augmentation, ...]]]) -> CropImages:
        crop, planned = unit.item
        picture = (await step.load(crop.digest, Picture)).pixels
        digests = await step.put_all(Picture(augmented(picture, each)) for each in planned)
        return CropImages(
            images=tuple(
                AugmentedImage(augmentation=augmentation, digest=digest)
                for augmentation, digest in zip(planned, digests, strict=True)
            )
        )

    units = [
        step.unit(crop.id, (crop, planned), AUGMENT_VERSION, crop.digest, list(planned))
        for crop, planned in planned_of
    ]
    pixels = max((crop.rectangle[2] * crop.rectangle[3] for crop, _ in planned_of), default=0)
    done = await step.run_units(
        units, do, output=CropImages, concurrency=at_once(pixels, AUGMENTED)
    )
    digests = [image.digest for made in done.outputs.values() for image in made.images]
    if done.reused:
        await hold(step, digests, "augmented")
    step.metadata["augmented"] = len(digests)
    return {"augmented": Augmented(crops=done.outputs)}


def _planned(
    crops: Sequence[CropRecord], frames: Sequence[FrameRecord], config: DataPrepConfig
) -> list[tuple[CropRecord, tuple[Augmentation, ...]]]:
    """The crops that more pictures are made of, each with what is made."""
    if not config.augment:
        return []
    sets = sets_of(crops, frames, config)
    return [
        (crop, plan_augmentations(config.seed, crop.digest, config.augment))
        for crop in crops
        if config.augment_validation or sets[group_of(crop, frames, config.by)] is SetName.TRAIN
    ]
