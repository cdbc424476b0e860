"""A data set as files: the image folder, its manifest, and its contact sheets.

::

    FOLDER/
      images/train/CLASS/….png         torchvision.datasets.ImageFolder("FOLDER/images/train")
      images/validation/CLASS/….png    datasets.load_dataset("imagefolder", data_dir=".../images")
      manifest.jsonl                   a line for each image: where it comes from
      dataset.json                     what was asked for, of which videos, by which run
      contact-train.png, contact-validation.png

Beside ``images``, not in it: loaders would take the sheets for pictures of the sets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stope.errors import UsageError
from stope.identity import digest_bytes, digest_file
from stope.models.dataprep import Dataset
from stope.models.job import Job, JsonObject
from stope.models.vision import Digest
from stope.published import PART, published
from stope.steps.identity import run_guid_of
from stope.vision.threads import in_thread
from stope.vision.written import (
    ABOUT,
    IMAGES,
    MANIFEST,
    WRITING,
    Written,
    read_written,
    sealed,
    sheet_file,
)

_AT_ONCE = 16
"""Files on their way: a store far away takes most of the time to answer."""

_MOST_BYTES = 512 << 20
"""Of pictures in memory, if none were any smaller as PNG than its pixels with alpha."""

Read = Callable[[Digest], Awaitable[bytes]]
"""Gives the bytes of an artifact."""


@dataclass(frozen=True)
class Author:
    """Which job a data set is of, and which run: the same request of any version is one run."""

    job_id: str
    run_guid: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The author of a job's data set."""
        return cls(job.id, run_guid_of(job))


async def write_dataset(dataset: Dataset, folder: Path, read: Read, author: Author) -> None:
    """Write a data set; files that are there already as they should be are left alone.

    A folder in which the same run wrote another data set before, such as one with gaps, gets this
    one: what changed is replaced, and what is no part of it any more is deleted, as far as it is as
    it was written. Nothing else is ever deleted or replaced. The manifest comes last: where it is,
    the data set is whole.

    Args:
        dataset: which.
        folder: made if need be; empty, or one that holds a data set of the same run.
        read: gives its pictures.
        author: whose it is.

    Raises:
        UsageError: there is something else in the folder, or a file of the data set has been
            changed. Nothing was written.
        StorageFullError: the disk has no room.
    """
    images = {f"{IMAGES}/{image.path}": image.digest for image in dataset.images}
    sheets = {sheet_file(name.value): digest for name, digest in dataset.sheets.items()}
    manifest = "".join(f"{image.model_dump_json()}\n" for image in dataset.images).encode()
    about = _about(dataset, author, digest_bytes(manifest))
    wanted = images | sheets | {MANIFEST: digest_bytes(manifest), ABOUT: digest_bytes(about)}
    unsigned = digest_bytes(_text(_described(dataset)))
    missing = await asyncio.to_thread(_claim, folder, author, wanted, unsigned)
    if ABOUT in missing:
        await asyncio.to_thread(_write, folder / ABOUT, about)
    pictures = {path: wanted[path] for path in (*images, *sheets) if path in missing}
    areas = (image.crop[2] * image.crop[3] for image in dataset.images)
    room = _MOST_BYTES // max(1, 4 * max(areas, default=0))
    await _put(folder, pictures, read, at_once=min(_AT_ONCE, max(1, room)))
    if MANIFEST in missing:
        await asyncio.to_thread(_write, folder / MANIFEST, manifest)
    await asyncio.to_thread((folder / WRITING).unlink, missing_ok=True)


def check_folder(folder: Path, author: Author | None = None) -> None:
    """Whether a data set may be written to a folder: it is new, empty, or holds one.

    Args:
        folder: which.
        author: whose data set it has to be; None: not known yet.

    Raises:
        UsageError: it may not.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder with --output.")
    if folder.is_dir():
        try:
            _ours(folder, author)
        except OSError as error:
            raise _unusable(folder, error) from error


def _ours(folder: Path, author: Author | None) -> Written | None:
    """What of a folder the author's run has written; None in an empty one."""
    found = read_written(folder)
    if found is None:
        # But for what we did not finish writing.
        if any(not path.name.endswith(PART) for path in folder.iterdir()):
            raise UsageError(
                f"The folder {folder} holds something else already; name an empty or a new one "
                "with --output."
            )
    elif author is not None and found.run_guid not in (None, author.run_guid):
        raise UsageError(
            f"The folder {folder} holds something else already, the data set of another job; name "
            "an empty or a new one with --output."
        )
    return found


def _unusable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"The data set cannot be written to {folder} ({error.strerror}); name another folder with "
        "--output."
    )


def _about(dataset: Dataset, author: Author, manifest: Digest) -> bytes:
    whose: JsonObject = {
        "job": author.job_id,
        "run_guid": author.run_guid,
        "manifest": manifest,
    }
    return _text(sealed(_described(dataset) | whose))


def _described(dataset: Dataset) -> JsonObject:
    body = dataset.model_dump(mode="json", exclude={"images"})
    return body | {"images": len(dataset.images)}


def _text(body: JsonObject) -> bytes:
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def _claim(
    folder: Path, author: Author, wanted: Mapping[str, Digest], unsigned: Digest
) -> set[str]:
    """Make a folder ready for a data set; which of its files are to be written.

    ``unsigned`` is what the data set's own ``dataset.json`` was before it named a run: where it is
    that, the folder is the run's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = _ours(folder, author) or Written(run_guid=author.run_guid, files={})
        if ours.run_guid is None:
            if digest_file(folder / ABOUT) != unsigned:
                raise UsageError(
                    f"The folder {folder} holds something else already: its {ABOUT} describes "
                    "another data set, and names no run; name an empty or a new one with --output."
                )
            ours = Written(run_guid=author.run_guid, files={ABOUT: (unsigned,)})
        there = dict(_there(folder, {*wanted, *ours.files}))
    except OSError as error:
        raise _unusable(folder, error) from error
    edited = sorted(
        path
        for path, digest in there.items()
        if path in wanted and digest != wanted[path] and not ours.is_ours(path, digest)
    )
    if edited:
        raise UsageError(
            f"Somebody has changed what was written to {folder} (files: {len(edited)}, such as "
            f"{edited[0]}), and nothing is overwritten. Move that away, or name another folder "
            "with --output."
        )
    missing = {path for path, digest in wanted.items() if there.get(path) != digest}
    stale = [
        path for path, digest in there.items() if path not in wanted and ours.is_ours(path, digest)
    ]
    if missing or stale:
        _write(folder / WRITING, ours.and_then(wanted).model_dump_json().encode())
        _delete(folder, stale)
        if MANIFEST in missing:
            (folder / MANIFEST).unlink(missing_ok=True)
    return missing


def _there(folder: Path, paths: Iterable[str]) -> Iterable[tuple[str, Digest]]:
    return ((path, digest_file(folder / path)) for path in paths if (folder / path).is_file())


def _delete(folder: Path, stale: Iterable[str]) -> None:
    """Delete files, and the classes that they leave empty: loaders refuse one without pictures."""
    for path in stale:
        (folder / path).unlink()
        for above in (folder / path).parents:
            if above == folder:
                break
            with suppress(OSError):
                above.rmdir()


async def _put(folder: Path, pictures: Mapping[str, Digest], read: Read, *, at_once: int) -> None:
    """Write pictures, several at once."""
    left = iter(pictures.items())

    async def work() -> None:
        for path, digest in left:
            await in_thread(_write, folder / path, await read(digest))

    tasks = [asyncio.create_task(work()) for _ in range(min(at_once, len(pictures)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. A data set is read by others."""
    again = "give the same command again"
    with published(path, what="the data set", then=again, mode=0o644) as stream:
        stream.write(data)
