"""The digest of a source as it is now, and how it is remembered."""

from __future__ import annotations

from typing import Protocol

from stope.identity import digest_bytes
from stope.objects.store import in_thread
from stope.sources.copies import ArtifactReader
from stope.sources.source import Source
from stope.sources.web import WebReader

_SIGNING = ("x-amz-", "x-goog-")
"""How the fields of a query begin that sign it, for S3 and Google Cloud Storage."""


class DigestMemory(Protocol):
    """Remembers the digests of what is at URLs, by size and version."""

    async def known(self, location: str, size: int, version: str) -> str | None:
        """The digest, if this version of it was read before."""

    async def keep(self, location: str, size: int, version: str, digest: str) -> None:
        """Remember a digest."""


async def source_digest(source: Source) -> str:
    """SHA-256 of what is there now, read front to back in parts."""
    return await in_thread(source.sha256)


async def remembered_digest(source: Source, memory: DigestMemory) -> str:
    """``source_digest``, without reading what its server says is what was read before.

    A file is always read: its time may be set by anybody.
    """
    if source.path is not None:
        return await source_digest(source)
    version = memory_version(source)
    known = await memory.known(source.location, source.size, version)
    if known is not None:
        return known
    digest = await source_digest(source)
    await memory.keep(source.location, source.size, version, digest)
    return digest


def memory_version(source: Source) -> str:
    """Under which version a digest is remembered; '' where it must not be.

    Two queries of one URL may give files of the same size and entity tag, which only tells the
    versions of one file apart. The signature in a query says nothing of the file.
    """
    reader = source.reader
    if isinstance(reader, ArtifactReader) or not source.version:
        return ""
    if isinstance(reader, WebReader) and reader.query:
        fields = [
            field for field in reader.query.split("&") if not field.lower().startswith(_SIGNING)
        ]
        return f"{source.version} {digest_bytes('&'.join(fields).encode())}"
    return source.version
