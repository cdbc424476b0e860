"""The bare script of data preparation: the same library calls, in one process, and nothing kept.

What somebody would write who wants the data set once: frames, background, boxes, crops, augmented
images, files, contact sheets, with as many threads as there are cores. No records, no artifacts, no
server. A crash loses everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks.bench.child import serve
from stope.identity import digest_bytes
from stope.models.dataprep import DataPrepConfig, SetName, frame_id
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.models.vision import Box, FieldColour
from stope.steps.png import to_png
from stope.vision.augment import augmented, plan_augmentations
from stope.vision.background import background_mask, count_colours, dominant_colour
from stope.vision.crops import Pixels, crop_rectangle, cut, without_background
from stope.vision.detectors import open_detector
from stope.vision.extra import CORES, require_vision
from stope.vision.frames import sample_times
from stope.vision.image import Image, Mask
from stope.vision.probe import probe_video
from stope.vision.reader import VideoReader
from stope.vision.sets import assign_sets
from stope.vision.sheet import Tile, contact_sheet, shown_of
from stope.vision.subjects import link_subjects, look_of

Item = TypeVar("Item")
Made = TypeVar("Made")


class BarePrep(Frozen):
    """What the script is given."""

    video: Path
    folder: Path
    config: DataPrepConfig


class BarePrepDone(Frozen):
    """What it took, and what it wrote: ``digest`` is that of all images, in no order of files."""

    seconds: float
    images: int
    digest: str


async def bare_prep(request: JsonObject) -> JsonObject:
    """One data set, timed."""
    asked = BarePrep.model_validate(request)
    require_vision()
    began = time.perf_counter()
    written = _prepared(asked)
    seconds = time.perf_counter() - began
    return BarePrepDone(
        seconds=seconds,
        images=len(written),
        digest=digest_of_images(written),
    ).model_dump(mode="json")


def digest_of_images(digests: Iterable[str]) -> str:
    """The digest of many images, whatever their order."""
    return digest_bytes("".join(sorted(digests)).encode())


def _prepared(asked: BarePrep) -> list[str]:
    config, threads = asked.config, ThreadPoolExecutor(CORES)

    def each(do: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        return list(threads.map(do, items))

    probe = probe_video(asked.video, config.frames)
    with VideoReader(asked.video) as reader:
        frames = [reader.at(time).image for time in sample_times(probe, config.frames)]
    field = dominant_colour(each(count_colours, frames))
    masks = each(lambda frame: _mask(frame, field), frames)
    detector = open_detector(config.detector, config.min_score)
    found = each(lambda at: detector.detect(frames[at], at), range(len(frames)))
    crops: list[tuple[str, str, Image]] = []
    looks = [
        [(box, look_of(_cut(frames[at], box, config))) for box in boxes]
        for at, boxes in enumerate(found)
    ]
    link_subjects(looks)
    for at, boxes in enumerate(found):
        for number, box in enumerate(boxes):
            crop, mask = _cut(frames[at], box, config), masks[at]
            if mask is not None:
                crop = without_background(crop, _cut(mask, box, config))
            name = frame_id(0, at)
            crops.append((f"{name}_{number:02d}", name, crop))
    pngs = each(lambda item: to_png(item[2]), crops)
    digests = [digest_bytes(png) for png in pngs]
    groups: dict[str, set[str]] = {}
    for (_, group, _), digest in zip(crops, digests, strict=True):
        groups.setdefault(group, set()).add(digest)
    sets = assign_sets(groups, config.validation, config.seed)

    def more(at: int) -> list[tuple[str, Image, bytes]]:
        name, group, crop = crops[at]
        made = [(name, crop, pngs[at])]
        if sets[group] is SetName.TRAIN:
            for plan in plan_augmentations(config.seed, digests[at], config.augment):
                picture = augmented(crop, plan)
                made.append((f"{name}_{plan.kind.value}", picture, to_png(picture)))
        return made

    images = each(more, range(len(crops)))
    written: list[str] = []
    for (_, group, _), made in zip(crops, images, strict=True):
        folder = asked.folder / sets[group].value / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, _, png in made:
            (folder / f"{name}.png").write_bytes(png)
            written.append(digest_bytes(png))
    for name in SetName:
        of_set = [
            picture
            for (_, group, _), made in zip(crops, images, strict=True)
            if sets[group] is name
            for _, picture, _ in made
        ]
        tiles = [Tile(of_set[at], "", "") for at in shown_of(len(of_set))]
        (asked.folder / f"contact-{name.value}.png").write_bytes(contact_sheet(name.value, tiles))
    return written


def _mask(frame: Image, field: FieldColour | None) -> Mask | None:
    return None if field is None else background_mask(frame, field)


def _cut(frame: Pixels, box: Box, config: DataPrepConfig) -> Pixels:
    height, width = frame.shape[:2]
    return cut(frame, crop_rectangle(box, width, height, config.margin))


if __name__ == "__main__":
    serve(bare_prep)
