"""The bare script of data preparation: the same library calls, in one process, and nothing kept.

What somebody would write who wants the data set once: frames, background, boxes, crops, augmented
images, files, contact sheets, with as many threads as there are cores. No records, no artifacts, no
server. A crash loses everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from stope.vision.extra import require_vision
from stope.vision.frames import sample_times
from stope.vision.image import Image, Mask
from stope.vision.memory import CORES
from stope.vision.probe import probe_video
from stope.vision.reader import VideoReader
from stope.vision.sets import assign_sets
from stope.vision.sheet import Tile, contact_sheet, shown_of
from stope.vision.subjects import Look, link_subjects, look_of

Item = TypeVar("Item")
Made = TypeVar("Made")


class BarePrep(Frozen):
    """What the script is given."""

    video: Path
    folder: Path
    config: DataPrepConfig
    readers: int = 1
    """Of the video: one, as such a script has, or more, each with a part of the frames."""


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

    def read(times: Sequence[float]) -> list[Image]:
        with VideoReader(asked.video) as reader:
            return [reader.at(time).image for time in times]

    times = sample_times(probe, config.frames)
    share = -(-len(times) // asked.readers)
    parts = [times[first : first + share] for first in range(0, len(times), share)]
    frames = [frame for part in each(read, parts) for frame in part]
    field = dominant_colour(each(count_colours, frames))
    masks = each(lambda frame: _mask(frame, field), frames)
    detector = open_detector(config.detector, config.min_score)
    found = each(lambda at: detector.detect(frames[at], at), range(len(frames)))
    cuts = each(
        lambda at: [_crop(frames[at], masks[at], box, config) for box in found[at]],
        range(len(frames)),
    )
    link_subjects([[(crop.box, crop.look) for crop in of_frame] for of_frame in cuts])
    crops = [
        (f"{frame_id(0, at)}_{number:02d}", frame_id(0, at), crop)
        for at, of_frame in enumerate(cuts)
        for number, crop in enumerate(of_frame)
    ]
    groups: dict[str, set[str]] = {}
    for _, group, crop in crops:
        groups.setdefault(group, set()).add(crop.digest)
    sets = assign_sets(groups, config.validation, config.seed)

    def write(at: int) -> list[tuple[SetName, str, Image]]:
        """A crop's files; set, digest and picture of each."""
        name, group, crop = crops[at]
        folder = asked.folder / sets[group].value / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(crop.png)
        made = [(sets[group], crop.digest, crop.image)]
        if sets[group] is SetName.TRAIN:
            for plan in plan_augmentations(config.seed, crop.digest, config.augment):
                picture = augmented(crop.image, plan)
                png = to_png(picture)
                (folder / f"{name}_{plan.kind.value}.png").write_bytes(png)
                made.append((sets[group], digest_bytes(png), picture))
        return made

    written = [image for made in each(write, range(len(crops))) for image in made]
    for name in SetName:
        of_set = [picture for where, _, picture in written if where is name]
        shown = [of_set[at] for at in shown_of(len(of_set))]
        tiles = each(lambda picture: Tile.of(picture, "", ""), shown)
        (asked.folder / f"contact-{name.value}.png").write_bytes(contact_sheet(name.value, tiles))
    return [digest for _, digest, _ in written]


@dataclass(frozen=True)
class _Crop:
    """What was cut out, without its background, as a picture and as its file."""

    box: Box
    look: Look
    image: Image
    png: bytes
    digest: str


def _crop(frame: Image, mask: Mask | None, box: Box, config: DataPrepConfig) -> _Crop:
    cut_out = _cut(frame, box, config)
    look = look_of(cut_out)
    if mask is not None:
        cut_out = without_background(cut_out, _cut(mask, box, config))
    png = to_png(cut_out)
    return _Crop(box, look, cut_out, png, digest_bytes(png))


def _mask(frame: Image, field: FieldColour | None) -> Mask | None:
    return None if field is None else background_mask(frame, field)


def _cut(frame: Pixels, box: Box, config: DataPrepConfig) -> Pixels:
    height, width = frame.shape[:2]
    return cut(frame, crop_rectangle(box, width, height, config.margin))


if __name__ == "__main__":
    serve(bare_prep)
