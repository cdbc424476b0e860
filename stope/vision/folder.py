"""A data set as files: the image folder, its manifest, and its contact sheets.

::

    FOLDER/
      images/train/CLASS/….png         torchvision.datasets.ImageFolder("FOLDER/images/train")
      images/validation/CLASS/….png    datasets.load_dataset("imagefolder", data_dir=".../images")
      manifest.jsonl                   a line for each image: where it comes from
      dataset.json                     what was asked for, of which videos
      contact-train.png, contact-validation.png

Beside ``images``, not in it: loaders would take the sheets for pictures of the sets.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

from stope.errors import NO_ROOM, StorageFullError, UsageError
from stope.identity import digest_file
from stope.models.dataprep import Dataset
from stope.models.vision import Digest

IMAGES, MANIFEST, ABOUT = "images", "manifest.jsonl", "dataset.json"

_PART = ".part"
"""How a file is named until it is whole."""

Read = Callable[[Digest], Awaitable[bytes]]
"""Gives the bytes of an artifact."""


async def write_dataset(dataset: Dataset, folder: Path, read: Read) -> None:
    """Write a data set; files that are there already as they should be are left alone.

    Nothing is ever deleted. The manifest comes last: where it is, the data set is whole.

    Args:
        dataset: which.
        folder: made if need be; empty, or one that holds this very data set.
        read: gives its pictures.

    Raises:
        UsageError: there is something else in the folder.
        StorageFullError: the disk has no room.
    """
    about = _about(dataset)
    await asyncio.to_thread(_claim, folder, about)
    for image in dataset.images:
        await _put(folder / IMAGES / PurePosixPath(image.path), image.digest, read)
    for name, digest in dataset.sheets.items():
        await _put(folder / f"contact-{name.value}.png", digest, read)
    lines = "".join(f"{image.model_dump_json()}\n" for image in dataset.images)
    await asyncio.to_thread(_write, folder / MANIFEST, lines.encode())


def check_folder(folder: Path) -> None:
    """Whether a data set may be written to a folder: it is new, empty, or holds a data set.

    Raises:
        UsageError: it may not.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder with --output.")
    if folder.is_dir() and not (folder / ABOUT).is_file() and _files(folder):
        raise _taken(folder)


def _files(folder: Path) -> list[Path]:
    """What lies in a folder, but for what we did not finish writing."""
    return [path for path in folder.iterdir() if not path.name.endswith(_PART)]


def _taken(folder: Path) -> UsageError:
    return UsageError(
        f"The folder {folder} holds something else already; name an empty or a new one with "
        "--output."
    )


def _about(dataset: Dataset) -> bytes:
    body = dataset.model_dump(mode="json", exclude={"images"})
    body["images"] = len(dataset.images)
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def _claim(folder: Path, about: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / ABOUT
        same = mark.is_file() and mark.read_bytes() == about
        if not same and _files(folder):
            raise _taken(folder)
    except OSError as error:
        raise UsageError(
            f"The data set cannot be written to {folder} ({error.strerror}); name another folder "
            "with --output."
        ) from error
    if not same:
        _write(mark, about)


async def _put(path: Path, digest: Digest, read: Read) -> None:
    if not await asyncio.to_thread(_is_there, path, digest):
        await asyncio.to_thread(_write, path, await read(digest))


def _is_there(path: Path, digest: Digest) -> bool:
    return path.is_file() and digest_file(path) == digest


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_PART)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        # mkstemp is for one's own eyes; a data set is read by others.
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StorageFullError(
            f"There is no room in {path.parent} for the data set ({error.strerror}); free some "
            "space and give the same command again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
