"""The data set: which picture is in which set, under which class, and where it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from stope.models.dataprep import (
    Augmented,
    AugmentedImage,
    CropRecord,
    Crops,
    DataPrepConfig,
    Dataset,
    DatasetSummary,
    Detections,
    FrameRecord,
    Frames,
    ImageRecord,
    SetName,
    Videos,
)
from stope.models.frozen import Frozen
from stope.models.vision import Digest
from stope.steps.context import StepContext
from stope.steps.values import Picture
from stope.units import Unit
from stope.vision.memory import at_once
from stope.vision.sets import group_of, sets_of
from stope.vision.sheet import Tile, contact_sheet, shown_of
from stope.vision.steps.holding import hold


class Sheet(Frozen):
    """A contact sheet: the digest of its PNG."""

    digest: Digest


async def create_training_and_validation_sets(
    step: StepContext[DataPrepConfig],
) -> Mapping[str, object]:
    """Put every picture into its set, and make a contact sheet of each."""
    config = step.config
    videos = (await step.need("videos", Videos)).videos
    frames = (await step.need("frames", Frames)).frames
    detections = await step.need("detections", Detections)
    crops = (await step.need("cutouts", Crops)).crops
    augmented = (await step.need("augmented", Augmented)).crops
    # In a thread, as what follows: very many crops take seconds, and the heartbeat must not wait.
    sets = await asyncio.to_thread(sets_of, crops, frames, config)
    images: list[ImageRecord] = []
    for crop in crops:
        label = group_of(crop, frames, config.by)
        where = f"{sets[label].value}/{label}/{crop.id}"
        record = ImageRecord(
            path=f"{where}.png",
            digest=crop.digest,
            set=sets[label],
            label=label,
            video=videos[frames[crop.frame].video].digest,
            frame=frames[crop.frame].index,
            time=frames[crop.frame].time,
            box=crop.box,
            crop=crop.rectangle,
            detector=detections.detector,
            subject=crop.subject,
        )
        images.append(record)
        made = augmented[crop.id].images if crop.id in augmented else ()
        images += [_augmented(record, where, number, image) for number, image in enumerate(made, 1)]
    # Steps that were finished before this run began are not done again: it has read none of these.
    await hold(step, (image.digest for image in images), "image")
    sheets = await _sheets(step, images)
    notes = _notes(step.files, videos, len(frames), sets, config)
    dataset = Dataset(
        images=tuple(images), sheets=sheets, videos=videos, config=config, notes=notes
    )
    summary = await asyncio.to_thread(_summary, dataset, frames, crops)
    step.metadata |= {name.value: count for name, count in summary.images.items()}
    return {"dataset": dataset, "summary": summary.model_dump(mode="json")}


def _augmented(of: ImageRecord, where: str, number: int, image: AugmentedImage) -> ImageRecord:
    return of.model_copy(
        update={
            "path": f"{where}_{number}_{image.augmentation.kind.value}.png",
            "digest": image.digest,
            "augmentation": image.augmentation,
        }
    )


async def _sheets(
    step: StepContext[DataPrepConfig], images: Sequence[ImageRecord]
) -> dict[SetName, Digest]:
    async def draw(unit: Unit[tuple[str, list[ImageRecord]]]) -> Sheet:
        title, shown = unit.item
        tiles: list[Tile] = []
        for image in shown:
            # Shrunk one by one: all of them as large as they are might not fit into the memory.
            pixels = (await step.load(image.digest, Picture)).pixels
            tiles.append(await asyncio.to_thread(Tile.of, pixels, *_captions(image)))
        png = await asyncio.to_thread(contact_sheet, title, tiles)
        return Sheet(digest=await step.artifacts.put(png, "contact sheet"))

    units: list[Unit[tuple[str, list[ImageRecord]]]] = []
    for name in SetName:
        of_set = [image for image in images if image.set is name]
        if of_set:
            classes = len({image.label for image in of_set})
            title = f"{name.value}: {len(of_set)} images, {classes} classes"
            shown = [of_set[place] for place in shown_of(len(of_set))]
            if len(shown) < len(of_set):
                title += f" ({len(shown)} of them here)"
            decides = [(image.digest, *_captions(image)) for image in shown]
            units.append(step.unit(f"sheet_{name.value}", (title, shown), title, decides))
    pixels = max((image.crop[2] * image.crop[3] for image in images), default=0)
    done = await step.run_units(units, draw, output=Sheet, concurrency=at_once(pixels))
    if done.reused:
        await hold(step, (sheet.digest for sheet in done.outputs.values()), "contact sheet")
    return {
        name: done.outputs[f"sheet_{name.value}"].digest
        for name in SetName
        if f"sheet_{name.value}" in done.outputs
    }


def _captions(image: ImageRecord) -> tuple[str, str]:
    kind = "" if image.augmentation is None else image.augmentation.kind.value
    return image.label.replace("video", "v").replace("_", " "), kind or f"{image.time:.2f} s"


def _notes(
    given: Sequence[object],
    videos: Sequence[object],
    frames: int,
    sets: Mapping[str, SetName],
    config: DataPrepConfig,
) -> tuple[str, ...]:
    notes: list[str] = []
    if len(videos) < len(given):
        notes.append(
            f"{len(given) - len(videos)} of the {len(given)} videos given have the same content "
            "as another; each content is in the data set once."
        )
    wanted = len(videos) * config.frames
    if frames < wanted:
        notes.append(
            f"{wanted - frames} of {wanted} samples gave no frame of their own: another sample "
            "shows the same frame, or it cannot be decoded."
        )
    if SetName.VALIDATION not in sets.values():
        notes.append(
            f"The validation set is empty: there is one {config.by.value} only, or all share "
            "pictures or pixels. More videos or --by "
            f"{'frame' if config.by == 'subject' else 'subject'} give it something."
        )
    return tuple(notes)


def _summary(
    dataset: Dataset, frames: Sequence[FrameRecord], crops: Sequence[CropRecord]
) -> DatasetSummary:
    of_set = {name: [item for item in dataset.images if item.set is name] for name in SetName}
    return DatasetSummary(
        videos=len(dataset.videos),
        frames=len(frames),
        boxes=len(crops),
        subjects=len({crop.subject for crop in crops}),
        images={name: len(items) for name, items in of_set.items()},
        classes={name: len({item.label for item in items}) for name, items in of_set.items()},
        augmented=sum(image.augmentation is not None for image in dataset.images),
        notes=dataset.notes,
    )
