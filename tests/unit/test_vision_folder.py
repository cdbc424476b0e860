"""The data set as files: loaders take it as it is, and what was there before is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stope.errors import UsageError
from stope.identity import digest_bytes
from stope.models.dataprep import DataPrepConfig, Dataset, ImageRecord, SetName
from stope.models.vision import Augmentation, AugmentationKind, Box, Video
from stope.vision.folder import check_folder, write_dataset
from stope.vision.image import decode_png, encode_png
from stope.vision.sheet import Tile, contact_sheet, shown_of
from tests.videos import photograph, plain

EXTENSIONS = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}


class Shelf:
    """Artifacts in memory."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.read: list[str] = []

    def put(self, data: bytes) -> str:
        self.held[digest_bytes(data)] = data
        return digest_bytes(data)

    async def get(self, digest: str) -> bytes:
        self.read.append(digest)
        return self.held[digest]


def small_dataset(shelf: Shelf) -> Dataset:
    images = []
    for number in range(6):
        name = SetName.VALIDATION if number == 5 else SetName.TRAIN
        label = f"video1_subject{number // 2 + 1:04d}" if number < 5 else "video1_subject0009"
        picture = plain(20 + number, 30, (40 * number, 10, 200))
        images.append(
            ImageRecord(
                path=f"{name.value}/{label}/image{number}.png",
                digest=shelf.put(encode_png(picture)),
                set=name,
                label=label,
                video="ab" * 32,
                frame=number,
                time=0.5 * number,
                box=Box(frame=number, x=1, y=2, width=20, height=30, score=0.5, label="face"),
                crop=(0, 0, 22, 33),
                detector="face",
                subject=label,
                augmentation=Augmentation(kind=AugmentationKind.FLIP, seed=number)
                if number % 2
                else None,
            )
        )
    sheet = shelf.put(contact_sheet("train", [Tile(plain(9, 9, (1, 2, 3)), "a", "b")]))
    return Dataset(
        images=tuple(images),
        sheets={SetName.TRAIN: sheet, SetName.VALIDATION: sheet},
        videos=(Video(location="match.mp4", digest="ab" * 32, size=1),),
        config=DataPrepConfig(),
    )


def image_folder(root: Path) -> list[tuple[Path, int]]:
    """torchvision's rule: a class is a folder, in the order of their names; files by name."""
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
    return [
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in EXTENSIONS
    ]


async def test_it_is_an_image_folder(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    await write_dataset(dataset, tmp_path / "data", shelf.get)

    for name in SetName:
        expected = [image for image in dataset.images if image.set is name]
        found = image_folder(tmp_path / "data" / "images" / name.value)
        labels = sorted({image.label for image in expected})
        assert [(path.name, labels[number]) for path, number in found] == [
            (Path(image.path).name, image.label) for image in expected
        ]
    pixels = decode_png((tmp_path / "data/images" / dataset.images[3].path).read_bytes())
    np.testing.assert_array_equal(pixels, plain(23, 30, (120, 10, 200)))


def test_datasets_loads_it_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    shelf = Shelf()
    dataset = small_dataset(shelf)
    asyncio.run(write_dataset(dataset, tmp_path / "data", shelf.get))

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "data/images"), cache_dir=str(tmp_path / "cache")
    )

    assert {name: len(part) for name, part in loaded.items()} == {"train": 5, "validation": 1}
    train = loaded["train"]
    names = train.features["label"].names
    assert [names[label] for label in train["label"]] == [
        image.label for image in dataset.images if image.set is SetName.TRAIN
    ]
    assert np.asarray(train[3]["image"])[0, 0].tolist() == [120, 10, 200]


async def test_every_image_has_a_line_that_says_where_it_comes_from(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    await write_dataset(dataset, tmp_path, shelf.get)

    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert [ImageRecord.model_validate(line) for line in lines] == list(dataset.images)
    for line in lines:
        data = (tmp_path / "images" / line["path"]).read_bytes()
        assert digest_bytes(data) == line["digest"]
    assert (tmp_path / "contact-train.png").read_bytes() == shelf.held[
        dataset.sheets[SetName.TRAIN]
    ]


async def test_written_again_it_mends_what_is_missing_and_touches_nothing_else(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    await write_dataset(dataset, tmp_path, shelf.get)
    gone, kept = (tmp_path / "images" / dataset.images[at].path for at in (1, 2))
    mine = tmp_path / "my-notes.txt"
    mine.write_text("mine")
    before = kept.stat().st_mtime_ns
    gone.unlink()
    shelf.read.clear()

    await write_dataset(dataset, tmp_path, shelf.get)

    assert shelf.read == [dataset.images[1].digest]
    assert gone.exists()
    assert kept.stat().st_mtime_ns == before
    assert mine.read_text() == "mine"


async def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    other = dataset.model_copy(update={"notes": ("another",)})
    await write_dataset(other, tmp_path / "other", shelf.get)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    (tmp_path / "file").touch()

    for name in ("other", "mine"):
        with pytest.raises(UsageError, match=r"holds something else.*--output"):
            await write_dataset(dataset, tmp_path / name, shelf.get)
    for name in ("mine", "file"):
        with pytest.raises(UsageError, match="--output"):
            check_folder(tmp_path / name)
    check_folder(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["letter.txt"]


def test_a_contact_sheet_shows_its_pictures() -> None:
    tiles = [Tile(photograph("coffee", 60), f"one {number}", "0.5 s") for number in range(13)]
    sheet = decode_png(contact_sheet("train: 13 images", tiles))

    assert sheet.shape[2] == 3
    row = sheet[40:152, 8:120]
    reds = row[..., 0].astype(int) - row[..., 2]
    assert reds.max() > 60, "the brown of the coffee, not its blue"
    assert contact_sheet("a", tiles) == contact_sheet("a", tiles)
    assert shown_of(5) == [0, 1, 2, 3, 4]
    assert len(shown_of(1000)) == 120
