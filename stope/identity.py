"""Content identity: canonical JSON and the digests made from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

_READ_BYTES = 1 << 20


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, models by field.

    Raises:
        TypeError: the value holds something JSON cannot say.
        ValueError: a float is NaN or infinite.
    """

    def plain(item: object) -> object:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json")
        raise TypeError(f"{type(item).__name__} has no canonical JSON form")

    return json.dumps(
        value,
        default=plain,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes, 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, 64 lower-case hex digits."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, read in blocks of a mebibyte."""
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            sha.update(block)
    return sha.hexdigest()
