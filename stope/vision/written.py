"""What of a data set's folder was written by which run, so that nobody's own files are touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from stope.identity import digest_bytes, digest_file, digest_of
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.models.vision import Digest
from stope.published import PART

IMAGES, MANIFEST, ABOUT = "images", "manifest.jsonl", "dataset.json"

WRITING = f".writing{PART}"
"""There while a data set is written: what the files of the folder may be meanwhile."""

_CHECKSUM = "checksum"
_EMPTY = digest_bytes(b"")
_UNSIGNED = {"images": int, "sheets": dict, "videos": list, "config": dict}
"""What a ``dataset.json`` that does not name its run holds, among others."""


class Written(Frozen):
    """The files that a run wrote: by path below the folder, each content that it gave them.

    ``run_guid`` is None for a data set whose ``dataset.json`` does not say which run wrote it.
    """

    run_guid: str | None
    files: dict[str, tuple[Digest, ...]]

    def is_ours(self, path: str, digest: Digest) -> bool:
        """Whether a file with this content is as the run left it, or a crash did: without any."""
        return digest == _EMPTY or digest in self.files.get(path, ())

    def and_then(self, wanted: Mapping[str, Digest]) -> Written:
        """The same while other contents take their places."""
        files = dict(self.files)
        for path, digest in wanted.items():
            known = files.get(path, ())
            if digest not in known:
                files[path] = (*known, digest)
        return self.model_copy(update={"files": files})


def sealed(body: JsonObject) -> JsonObject:
    """What ``dataset.json`` holds, with a checksum: an edit of it can be told."""
    return body | {_CHECKSUM: digest_of(body)}


def sheet_file(name: str) -> str:
    """Where the contact sheet of a set is."""
    return f"contact-{name}.png"


def read_written(folder: Path) -> Written | None:
    """What lies in a folder of ours; None where nobody has said that it is one.

    Raises:
        OSError: it cannot be read.
    """
    begun = folder / WRITING
    if begun.is_file():
        # Where it is none of ours, or a crash has torn it, what is finished still says what it is.
        with suppress(ValidationError):
            return _within(Written.model_validate_json(begun.read_bytes()))
    mark = _mark(folder / ABOUT)
    if mark is None:
        return None
    if "run_guid" not in mark:
        return Written(run_guid=None, files={})
    files = dict(_listed(folder / MANIFEST))
    sheets = mark.get("sheets")
    if isinstance(sheets, dict):
        files |= {sheet_file(name): str(digest) for name, digest in sheets.items()}
    files[MANIFEST] = str(mark.get("manifest"))
    checksum = mark.pop(_CHECKSUM, None)
    if checksum == digest_of(mark):
        files[ABOUT] = digest_file(folder / ABOUT)
    return _within(
        Written(
            run_guid=str(mark["run_guid"]),
            files={path: (digest,) for path, digest in files.items()},
        )
    )


def _within(found: Written) -> Written:
    """The same without what leads out of the folder, which may come from anywhere."""

    def stays(path: PurePosixPath) -> bool:
        return ".." not in path.parts and not path.is_absolute()

    files = {path: known for path, known in found.files.items() if stays(PurePosixPath(path))}
    return found.model_copy(update={"files": files})


def _mark(path: Path) -> JsonObject | None:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    if "run_guid" in found:
        return found if isinstance(found["run_guid"], str) else None
    is_one = all(isinstance(found.get(name), kind) for name, kind in _UNSIGNED.items())
    return found if is_one else None


def _listed(manifest: Path) -> Iterator[tuple[str, Digest]]:
    """Paths and digests of a manifest's images; lines that are none of ours are left out."""
    if not manifest.is_file():
        return
    with manifest.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                image = json.loads(line)
            except ValueError:
                continue
            if isinstance(image, dict) and "path" in image and "digest" in image:
                yield str(PurePosixPath(IMAGES, str(image["path"]))), str(image["digest"])
