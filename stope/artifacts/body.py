"""Bodies of large artifacts as streams: from a file into a store, and from a store into a file.

A body is stored plain or as one frame of zstd, told apart by its first bytes as everywhere (see
``stope.compression``). Neither way takes more memory than some parts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

import zstandard

from stope.compression import MAGIC, THRESHOLD, compressor_of
from stope.errors import ArtifactError, InputError

_BLOCK = 1 << 20
_SAMPLE = 256 << 10
_WORTH = 0.9
"""Pictures, sound and film do not get smaller; what does, shows it in its first bytes."""

_MAX_WINDOW = 1 << 27
_HEADER = 18
"""Bytes of a frame's header at most (RFC 8878, 3.1.1.1)."""


@dataclass(frozen=True)
class FileFacts:
    """A file that was read once. ``packed``: whether it is to be compressed."""

    path: Path
    digest: str
    size: int
    packed: bool
    state: tuple[int, int, int]


def read_facts(path: Path, *, compress: bool) -> FileFacts:
    """The digest of a file and how it is best stored.

    Raises:
        InputError: the file changes while it is read.
        OSError: it cannot be read.
    """
    sha, size, sample = hashlib.sha256(), 0, b""
    with path.open("rb") as stream:
        state = _state(stream)
        while block := stream.read(_BLOCK):
            sample = sample or block[:_SAMPLE]
            sha.update(block)
            size += len(block)
        if _state(stream) != state or size != state[0]:
            raise _changed(path)
    packed = sample.startswith(MAGIC) or (compress and size >= THRESHOLD and _shrinks(sample))
    return FileFacts(path, sha.hexdigest(), size, packed, state)


class Sending:
    """What is stored for a file, read front to back once. Ends in an error if the file changed.

    A file whose size and time stayed as they were while it was read twice has the digest of the
    first reading; to hash it again would cost as much as to send it.
    """

    def __init__(self, facts: FileFacts) -> None:
        self._facts = facts
        self._file: BinaryIO | None = None
        self._stream: BinaryIO | zstandard.ZstdCompressionReader | None = None

    def __enter__(self) -> Self:
        self._file = self._facts.path.open("rb")
        self._stream = self._file
        if self._facts.packed:
            compressor = compressor_of(self._facts.size)
            self._stream = compressor.stream_reader(self._file, size=self._facts.size)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, size: int = -1) -> bytes:
        """The next bytes; b'' at the end.

        Raises:
            InputError: the file is not the one whose digest was taken.
        """
        assert self._file is not None  # noqa: S101  (entered)
        assert self._stream is not None  # noqa: S101  (entered)
        try:
            block = bytes(self._stream.read(size))
        except zstandard.ZstdError:
            raise _changed(self._facts.path) from None
        # Before a block is given out: the store publishes when it has the last one.
        if _state(self._file) != self._facts.state:
            raise _changed(self._facts.path)
        return block


def is_packed(head: bytes) -> bool:
    """Whether a body that begins like this is compressed."""
    return head.startswith(MAGIC)


def content_size(head: bytes, size: int) -> int | None:
    """Bytes of the content of a body, by its beginning; None where a frame does not say.

    Args:
        head: its first bytes, at least ``_HEADER`` of them or all.
        size: of the whole body as it is stored.
    """
    if not is_packed(head):
        return size
    try:
        found = zstandard.frame_content_size(head[:_HEADER])
    except zstandard.ZstdError:
        return None
    return found if found >= 0 else None


def content_of(blocks: Iterator[bytes], what: str) -> Iterator[bytes]:
    """The content of a body that comes in blocks.

    Raises:
        ArtifactError: it is compressed and damaged.
    """
    body = _Blocks(blocks)
    head = body.peek(len(MAGIC))
    if not is_packed(head):
        yield from body.rest()
        return
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    # All that it asks of a file is to be read.
    reader = decompressor.stream_reader(cast("IO[bytes]", body))
    try:
        while block := reader.read(_BLOCK):
            yield block
    except zstandard.ZstdError:
        raise damaged(what) from None


def damaged(what: str) -> ArtifactError:
    """The content of an artifact is not what its name says."""
    return ArtifactError(
        f"{what} is damaged: its content does not match its name. Delete it and run the job again "
        "with --force."
    )


class _Blocks:
    """Blocks as a file to read from; how zstd wants them."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""

    def peek(self, size: int) -> bytes:
        while len(self._held) < size and (block := next(self._blocks, b"")):
            self._held += block
        return self._held[:size]

    def read(self, size: int = -1) -> bytes:
        found = self._held or next(self._blocks, b"")
        if size >= 0:
            found, self._held = found[:size], found[size:]
        else:
            self._held = b""
        return found

    def rest(self) -> Iterator[bytes]:
        if self._held:
            yield self._held
        yield from self._blocks


def _shrinks(sample: bytes) -> bool:
    return len(compressor_of(len(sample)).compress(sample)) < _WORTH * len(sample)


def _state(stream: BinaryIO) -> tuple[int, int, int]:
    stat = os.fstat(stream.fileno())
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _changed(path: Path) -> InputError:
    return InputError(f"{path} changed while it was stored; do it again when nobody writes to it.")
