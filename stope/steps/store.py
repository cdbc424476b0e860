"""The values of a context: in it as they are where they are small, else as artifacts."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import length_hint
from typing import Any, Self, TypeVar, cast

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, PermanentError
from stope.steps.cache import CacheCounts, ContextCache
from stope.steps.codecs import Codec, JsonCodec, codec_of
from stope.steps.json_text import is_longer

T = TypeVar("T")

INLINE_BYTES = 2048
"""A JSON value up to this size stands in the checkpoint itself, where people read it."""

_TOGETHER = 4 << 20
"""Bytes of values that are stored together: see ``ValueStore.put_all``."""

REFERENCE = "$artifact"
"""The field of a reference that has the artifact's digest."""


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A value that is kept as it is in the store."""

    data: bytes


def referred(entry: object) -> str | None:
    """The digest of the artifact that an entry of a context stands for; None where it is inline."""
    digest = entry.get(REFERENCE) if isinstance(entry, dict) else None
    return digest if isinstance(digest, str) else None


class ValueStore:
    """Puts values away and brings them back as the same type.

    What this process has put or read is handed out again without a second read.

    Args:
        artifacts: where they are.
        cache: of this process.
    """

    def __init__(self, artifacts: ArtifactStore, cache: ContextCache) -> None:
        self.counts = CacheCounts()
        self._artifacts = artifacts
        self._cache = cache

    async def put(self, value: object, name: str = "") -> str:
        """Store a value and return its digest.

        Raises:
            PermanentError: its type has no codec, or it would not come back the same.
        """
        [digest] = await self.put_all([value], name)
        return digest

    async def put_all(self, values: Iterable[object], name: str = "") -> list[str]:
        """``put`` for several; their digests, in order.

        A generator of them runs in threads, one after another: to make values there costs no hop of
        its own. Some megabytes of them are stored together, so that few are in memory at once; what
        was stored before the generator raised stays.
        """
        return [digest for digest, _ in await self._stored(values, name)]

    async def load(self, digest: str, kind: type[T], name: str = "") -> T:
        """The value of a digest. It must not be changed.

        Raises:
            ArtifactError: it is absent or damaged, or no such value.
        """
        codec = _codec(kind)
        found = self._cache.find(digest, kind)
        if isinstance(found, _Encoded):
            self._count(from_memory=1)
            return cast("T", await asyncio.to_thread(codec.decode, found.data, kind))
        if found is not None:
            self._count(from_memory=1)
            return cast("T", codec.shared(found))
        data = await self._artifacts.get(digest, name)

        def decode() -> tuple[object, object]:
            value = codec.decode(data, kind)
            return value, codec.shared(value)

        value, shared = await asyncio.to_thread(decode)
        self._count(from_storage=1)
        made = _Made.of(kind, shared, data)
        self._cache.keep(digest, kind, made.kept, made.weight)
        return cast("T", value if shared is None else shared)

    async def entry(self, name: str, value: object, kind: type) -> object:
        """What stands in a context for a value of a declared type.

        Raises:
            PermanentError: it is of another type, or would not come back the same.
        """
        if type(value) is not kind:
            raise PermanentError(
                f"{name!r} is declared as {kind.__name__}, and is a {type(value).__name__}."
            )
        codec = _codec(kind)
        if isinstance(codec, JsonCodec) and not is_longer(value, INLINE_BYTES):
            data = codec.encode(value)
            if len(data) <= INLINE_BYTES and not (isinstance(value, dict) and REFERENCE in value):
                return value
        [(digest, size)] = await self._stored([value], name)
        return {REFERENCE: digest, "type": codec.tag, "bytes": size}

    async def value(self, name: str, entry: object, kind: type[T]) -> T:
        """The value that an entry of a context stands for.

        Raises:
            ArtifactError: it is absent or damaged, or of another type.
        """
        digest = referred(entry)
        if digest is None:
            if type(entry) is not kind:
                raise ArtifactError(
                    f"{name!r} in the checkpoint is a {type(entry).__name__}, and declared as "
                    f"{kind.__name__}; run the job again with --force."
                )
            return copy.deepcopy(entry)
        tag = cast("Mapping[str, object]", entry).get("type")
        if tag != _codec(kind).tag:
            raise ArtifactError(
                f"{name!r} in the checkpoint is stored as {tag}, and declared as "
                f"{kind.__name__}; run the job again with --force."
            )
        return await self.load(digest, kind, name)

    async def check(self, name: str, entry: object, kind: type) -> None:
        """See that what an entry stands for is there, whole.

        Raises:
            ArtifactError: it is not.
            TransientError: whether it is cannot be seen just now.
        """
        digest = referred(entry)
        if digest is None or self._cache.find(digest, kind) is None:
            await self.value(name, entry, kind)
        else:
            # It is known to be such a value; whether it is still there for others is not.
            await self._artifacts.get(digest, name)

    async def _stored(self, values: Iterable[object], name: str) -> list[tuple[str, int]]:
        """Store values; the digest and the size of each."""
        left, stored = iter(values), list[tuple[str, int]]()
        while True:
            batch = _Batch(left)
            try:
                digests = await self._artifacts.put_all(batch.encoded(), name)
            except asyncio.CancelledError:
                batch.is_given_up = True
                raise
            for digest, made in zip(digests, batch.made, strict=True):
                self._cache.keep(digest, made.kind, made.kept, made.weight)
                stored.append((digest, made.size))
            if batch.is_last:
                return stored

    def _count(self, *, from_memory: int = 0, from_storage: int = 0) -> None:
        for counts in (self.counts, self._cache.counts):
            counts.from_memory += from_memory
            counts.from_storage += from_storage


@dataclass(frozen=True, eq=False)
class _Made:
    """A value that was encoded, and what memory keeps of it.

    ``kept`` is what others may have too, or else the encoded bytes, and takes ``weight`` bytes;
    ``size`` is how many were encoded.
    """

    kind: type
    kept: object
    weight: int
    size: int

    @classmethod
    def of(cls, kind: type, shared: object, data: bytes) -> Self:
        """One that may be shared; None: it may not."""
        if shared is None:
            return cls(kind, _Encoded(data), len(data), len(data))
        return cls(kind, shared, _codec(kind).weight(shared, len(data)), len(data))


class _Batch:
    """Some of the values that are left, as they are encoded.

    Attributes:
        made: those that have been.
        is_last: whether there are no more of them.
        is_given_up: set to make no more.
    """

    def __init__(self, left: Iterator[object]) -> None:
        self._left = left
        self.made: list[_Made] = []
        self.is_last = False
        self.is_given_up = False

    def encoded(self) -> Iterator[bytes]:
        """Their bytes. Blocks."""
        size = 0
        for value in self._left:
            codec = _codec(type(value))
            # Together: what is kept in memory is what is stored.
            data = codec.encode(value)
            made = _Made.of(type(value), codec.shared(value), data)
            self.made.append(made)
            yield data
            size += max(made.size, made.weight)
            if self.is_given_up or size >= _TOGETHER:
                # A list says how much of it is left.
                self.is_last = length_hint(self._left, 1) == 0
                return
        self.is_last = True


def _codec(kind: type) -> Codec[Any]:
    codec = codec_of(kind)
    if codec is None:
        raise PermanentError(
            f"There is no codec for {kind.__name__}; write one and give it to "
            "stope.steps.codecs.register."
        )
    return codec
