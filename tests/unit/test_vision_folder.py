"""The data set as files: loaders take it as it is, and what was there before is left alone."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stope.errors import UsageError
from stope.identity import digest_bytes
from stope.models.dataprep import DataPrepConfig, Dataset, ImageRecord, SetName
from stope.models.job import JsonObject
from stope.models.vision import Augmentation, AugmentationKind, Box, Video
from stope.vision.folder import Author, check_folder, write_dataset
from stope.vision.image import decode_png, encode_png
from stope.vision.sheet import Tile, contact_sheet, shown_of
from stope.vision.written import WRITING, Written, sealed
from tests.videos import photograph, plain

AUTHOR = Author("dataprep-1", "run-1")
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
    sheet = shelf.put(contact_sheet("train", [Tile.of(plain(9, 9, (1, 2, 3)), "a", "b")]))
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
    await write_dataset(dataset, tmp_path / "data", shelf.get, AUTHOR)

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
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    shelf = Shelf()
    dataset = small_dataset(shelf)
    asyncio.run(write_dataset(dataset, tmp_path / "data", shelf.get, AUTHOR))

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
    await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)

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
    await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)
    gone, kept = (tmp_path / "images" / dataset.images[at].path for at in (1, 2))
    mine = tmp_path / "my-notes.txt"
    mine.write_text("mine")
    before = kept.stat().st_mtime_ns
    gone.unlink()
    shelf.read.clear()

    await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)

    assert shelf.read == [dataset.images[1].digest]
    assert gone.exists()
    assert kept.stat().st_mtime_ns == before
    assert mine.read_text() == "mine"


async def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    await write_dataset(dataset, tmp_path / "other", shelf.get, Author("dataprep-2", "run-2"))
    before = files(tmp_path / "other")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    (tmp_path / "file").touch()

    for name in ("other", "mine"):
        with pytest.raises(UsageError, match=r"holds something else.*--output"):
            await write_dataset(dataset, tmp_path / name, shelf.get, AUTHOR)
        with pytest.raises(UsageError, match=r"holds something else.*--output"):
            check_folder(tmp_path / name, AUTHOR)
    for name in ("mine", "file"):
        with pytest.raises(UsageError, match="--output"):
            check_folder(tmp_path / name)
    check_folder(tmp_path / "new", AUTHOR)
    check_folder(tmp_path / "other")
    assert files(tmp_path / "other") == before
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["letter.txt"]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def retried(shelf: Shelf, dataset: Dataset) -> Dataset:
    """The same after its gaps were tried again: a picture less, one changed, one more."""
    _, changed, *others = dataset.images
    added = shelf.put(encode_png(plain(31, 17, (3, 2, 1))))
    images = (
        changed.model_copy(update={"digest": shelf.put(encode_png(plain(5, 5, (9, 9, 9))))}),
        *others,
        changed.model_copy(update={"path": "train/new/image9.png", "digest": added}),
    )
    return dataset.model_copy(update={"images": images, "notes": ("another",)})


def alone(first: Dataset) -> Dataset:
    """The same, with a class that only its first picture has."""
    image = first.images[0].model_copy(update={"path": "train/lonely/image0.png"})
    return first.model_copy(update={"images": (image, *first.images[1:])})


async def test_what_the_same_run_makes_later_takes_the_place_of_what_it_made(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    first = alone(small_dataset(shelf))
    later = retried(shelf, first)
    await write_dataset(first, tmp_path / "data", shelf.get, AUTHOR)
    (tmp_path / "data" / "my-notes.txt").write_text("mine")
    kept = tmp_path / "data" / "images" / first.images[2].path
    before = kept.stat().st_mtime_ns

    # A raised version of the pipeline has jobs of its own, and the run's id stays.
    check_folder(tmp_path / "data", Author("dataprep-3", "run-1"))
    await write_dataset(later, tmp_path / "data", shelf.get, Author("dataprep-3", "run-1"))

    await write_dataset(later, tmp_path / "anew", shelf.get, Author("dataprep-3", "run-1"))
    assert files(tmp_path / "data") == files(tmp_path / "anew") | {"my-notes.txt": b"mine"}
    assert kept.stat().st_mtime_ns == before
    assert not (tmp_path / "data/images/train/lonely").exists(), "loaders refuse an empty class"


@pytest.mark.parametrize("edited", ["image", "contact-train.png", "manifest.jsonl", "dataset.json"])
async def test_what_somebody_has_changed_is_never_overwritten(tmp_path: Path, edited: str) -> None:
    shelf = Shelf()
    first = small_dataset(shelf)
    await write_dataset(first, tmp_path, shelf.get, AUTHOR)
    path = tmp_path / (f"images/{first.images[1].path}" if edited == "image" else edited)
    theirs = (
        path.read_bytes().replace(b"match.mp4", b"final.mp4").replace(b'"frame":1', b'"frame":7')
    )
    path.write_bytes(theirs if theirs != path.read_bytes() else b"drawn over")
    before = files(tmp_path)

    another_sheet = {"sheets": {SetName.TRAIN: shelf.put(b"another sheet")}}
    for dataset in (first, retried(shelf, first).model_copy(update=another_sheet)):
        with pytest.raises(UsageError, match=r"has changed.*such as .*nothing is overwritten"):
            await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)
        assert files(tmp_path) == before


async def test_what_somebody_has_changed_and_is_no_part_of_it_any_more_stays(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    first = alone(small_dataset(shelf))
    await write_dataset(first, tmp_path, shelf.get, AUTHOR)
    theirs = tmp_path / "images" / first.images[0].path
    theirs.write_bytes(b"drawn over")

    await write_dataset(retried(shelf, first), tmp_path, shelf.get, AUTHOR)

    assert theirs.read_bytes() == b"drawn over"


async def test_a_write_that_was_cut_short_is_ended_by_whatever_the_run_makes_next(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    first = small_dataset(shelf)
    second = retried(shelf, first)
    third = second.model_copy(update={"images": second.images[:3], "notes": ("a third",)})

    class CutError(Exception):
        pass

    allowed = 0

    async def cut(digest: str) -> bytes:
        if len(shelf.read) == allowed:
            raise CutError
        return await shelf.get(digest)

    for folder, made in (("fresh", ()), ("again", (first,))):
        for dataset in made:
            await write_dataset(dataset, tmp_path / folder, shelf.get, AUTHOR)
        for dataset, reads in ((second, 1), (third, 0)):
            allowed = reads
            shelf.read.clear()
            with pytest.raises(CutError):
                await write_dataset(
                    dataset.model_copy(update={"images": dataset.images[::-1]}),
                    tmp_path / folder,
                    cut,
                    AUTHOR,
                )
            assert not (tmp_path / folder / "manifest.jsonl").exists()
        check_folder(tmp_path / folder, AUTHOR)
        await write_dataset(third, tmp_path / folder, shelf.get, AUTHOR)
        await write_dataset(third, tmp_path / f"{folder}-anew", shelf.get, AUTHOR)
        assert files(tmp_path / folder) == files(tmp_path / f"{folder}-anew")


def described_as_before(dataset: Dataset) -> bytes:
    """A ``dataset.json`` from before it named a run."""
    body = dataset.model_dump(mode="json", exclude={"images"})
    body["images"] = len(dataset.images)
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


async def test_a_folder_that_names_no_run_is_that_of_the_data_set_it_describes(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    folder = tmp_path / "data"
    await write_dataset(dataset, folder, shelf.get, AUTHOR)
    whole = files(folder)
    (folder / "dataset.json").write_bytes(described_as_before(dataset))
    (folder / "images" / dataset.images[1].path).unlink()

    before = files(folder)
    check_folder(folder)
    check_folder(folder, AUTHOR)
    with pytest.raises(UsageError, match=r"another data set, and names no run.*--output"):
        await write_dataset(retried(shelf, dataset), folder, shelf.get, AUTHOR)
    assert files(folder) == before
    theirs = folder / "images" / dataset.images[2].path
    theirs.write_bytes(b"drawn over")
    with pytest.raises(UsageError, match="has changed"):
        await write_dataset(dataset, folder, shelf.get, AUTHOR)
    theirs.unlink()

    await write_dataset(dataset, folder, shelf.get, AUTHOR)
    assert files(folder) == whole
    (folder / "dataset.json").write_text('{"images": 3}')
    with pytest.raises(UsageError, match="holds something else"):
        check_folder(folder)


async def test_what_a_crash_has_left_without_content_is_written_and_not_somebodys_edit(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    first = alone(small_dataset(shelf))
    await write_dataset(first, tmp_path / "data", shelf.get, AUTHOR)
    whole = files(tmp_path / "data")
    torn = [f"images/{image.path}" for image in first.images[:2]]
    for path in (*torn, "contact-train.png", "manifest.jsonl"):
        (tmp_path / "data" / path).write_bytes(b"")
    await write_dataset(first, tmp_path / "data", shelf.get, AUTHOR)
    assert files(tmp_path / "data") == whole

    for path in torn:
        (tmp_path / "data" / path).write_bytes(b"")
    later = retried(shelf, first)
    await write_dataset(later, tmp_path / "data", shelf.get, AUTHOR)
    await write_dataset(later, tmp_path / "anew", shelf.get, AUTHOR)
    assert files(tmp_path / "data") == files(tmp_path / "anew")


async def test_a_note_of_a_write_that_cannot_be_read_hides_no_data_set(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)
    whole = files(tmp_path)
    (tmp_path / WRITING).write_bytes(b"")
    (tmp_path / "images" / dataset.images[1].path).unlink()
    check_folder(tmp_path, AUTHOR)
    with pytest.raises(UsageError, match="data set of another job"):
        check_folder(tmp_path, Author("dataprep-2", "run-2"))
    await write_dataset(dataset, tmp_path, shelf.get, AUTHOR)
    assert files(tmp_path) == whole


async def test_several_files_are_on_their_way_at_once(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    several = asyncio.Barrier(3)

    async def get(digest: str) -> bytes:
        if len(shelf.read) < 3:
            shelf.read.append(digest)
            async with asyncio.timeout(30):
                await several.wait()
        return shelf.held[digest]

    await write_dataset(dataset, tmp_path, get, AUTHOR)

    assert (tmp_path / "manifest.jsonl").exists()


async def test_large_pictures_are_in_memory_one_after_the_other(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    large = dataset.images[0].model_copy(update={"crop": (0, 0, 8192, 12_000)})
    held, most = 0, 0

    async def get(digest: str) -> bytes:
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(0)
        held -= 1
        return await shelf.get(digest)

    dataset = dataset.model_copy(update={"images": (large, *dataset.images[1:])})
    await write_dataset(dataset, tmp_path, get, AUTHOR)

    assert most == 1


async def test_what_a_folder_from_elsewhere_lists_leads_to_no_file_outside(tmp_path: Path) -> None:
    shelf = Shelf()
    dataset = small_dataset(shelf)
    outside = tmp_path / "outside.png"
    digest = dataset.images[0].digest
    outside.write_bytes(shelf.held[digest])
    for path in ("../../outside.png", str(outside)):
        image = dataset.images[0].model_copy(update={"path": path})
        lines = f"{image.model_dump_json()}\n"
        folder = tmp_path / "data"
        mark: JsonObject = {"run_guid": AUTHOR.run_guid, "manifest": digest_bytes(lines.encode())}
        folder.mkdir(exist_ok=True)
        (folder / "manifest.jsonl").write_text(lines)
        (folder / "dataset.json").write_text(json.dumps(sealed(mark)))

        for begun in (False, True):
            if begun:
                files = {path: (digest,), f"images/{path}": (digest,)}
                said = Written(run_guid=AUTHOR.run_guid, files=files)
                (folder / WRITING).write_text(said.model_dump_json())
                (folder / "manifest.jsonl").unlink()
                (folder / "dataset.json").unlink()
            await write_dataset(dataset, folder, shelf.get, AUTHOR)

            assert outside.exists()
        shutil.rmtree(folder)


def test_a_contact_sheet_shows_its_pictures() -> None:
    tiles = [Tile.of(photograph("coffee", 60), f"one {number}", "0.5 s") for number in range(13)]
    sheet = decode_png(contact_sheet("train: 13 images", tiles))

    assert sheet.shape[2] == 3
    row = sheet[40:152, 8:120]
    reds = row[..., 0].astype(int) - row[..., 2]
    assert reds.max() > 60, "the brown of the coffee, not its blue"
    assert contact_sheet("a", tiles) == contact_sheet("a", tiles)
    assert shown_of(5) == [0, 1, 2, 3, 4]
    assert len(shown_of(1000)) == 120
