"""The artifact store: large immutable bytes, addressed by their SHA-256.

An object is written to a temporary name and published whole (the store's own ``put`` does that),
so a reader sees all of it or nothing. Large ones are compressed; the digest is that of the content,
and the content is checked against it on every read.
"""

from __future__ import annotations

import copy
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore
from pydantic import BaseModel, ValidationError

from stope.compression import packed, unpacked
from stope.errors import NO_ROOM, ArtifactError, RecordsError, StorageFullError, UsageError
from stope.identity import digest_bytes

ModelT = TypeVar("ModelT", bound=BaseModel)

Use = Callable[[str, str], Awaitable[None]]
"""Told a digest and what it is, before it is stored or read."""


@dataclass(frozen=True)
class StoredArtifact:
    """An object as it lies in the store: ``size`` in bytes there, ``made_at`` in UTC."""

    digest: str
    size: int
    made_at: datetime


class ArtifactStore:
    """Content-addressed objects behind one URL (``file:///…`` or ``memory://``).

    Raises:
        UsageError: the URL's scheme is not supported.
    """

    def __init__(self, url: str) -> None:
        parsed = urlparse(url)
        self.url = url if url.endswith("://") else url.rstrip("/")
        self._use: Use | None = None
        self.folder: Path | None = None
        self._store: LocalStore | MemoryStore
        if parsed.scheme == "file":
            if parsed.netloc not in ("", "localhost"):
                raise UsageError(
                    f"STOPE_ARTIFACTS_URL is {url!r}, a folder of another host; write "
                    "file:///folder, with three slashes."
                )
            folder = Path(url2pathname(parsed.path))
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"The artifact folder {folder} cannot be made ({error.strerror}); set "
                    "STOPE_ARTIFACTS_URL or STOPE_HOME to a place you can write to."
                ) from error
            self.folder = folder
            self._store = LocalStore(folder)
        elif parsed.scheme == "memory":
            self._store = MemoryStore()
        else:
            raise UsageError(
                f"STOPE_ARTIFACTS_URL is {url!r}, but only file:///folder and memory:// are "
                "supported by this version."
            )

    def telling(self, use: Use) -> ArtifactStore:
        """The same store, which tells of every object before it is stored or read."""
        twin = copy.copy(self)
        twin._use = use  # noqa: SLF001  (its own)
        return twin

    @staticmethod
    def _path(digest: str) -> str:
        return f"sha256/{digest[:2]}/{digest}"

    def uri(self, digest: str) -> str:
        """Where an object lives, for people and for ``transcript_path``."""
        separator = "" if self.url.endswith("://") else "/"
        return f"{self.url}{separator}{self._path(digest)}"

    async def put(self, data: bytes, name: str = "") -> str:
        """Store bytes and return their digest. Storing the same bytes again changes nothing.

        ``name`` says what they are to whoever is told of it.
        """
        digest = digest_bytes(data)
        if self._use is not None:
            await self._use(digest, name)
        try:
            await obstore.put_async(self._store, self._path(digest), packed(data))
        except (OSError, BaseError) as error:
            if any(os.strerror(number) in str(error) for number in NO_ROOM):
                raise StorageFullError(
                    f"There is no room at {self.url} for an artifact; free some space and the "
                    "work goes on."
                ) from error
            raise ArtifactError(
                f"An artifact could not be written to {self.url}: {error}. Free some space or "
                "check its permissions; the work done so far is kept."
            ) from error
        return digest

    async def get(self, digest: str, name: str = "") -> bytes:
        """The bytes of a digest.

        Raises:
            ArtifactError: it is absent, or its bytes have another digest.
        """
        if self._use is not None:
            await self._use(digest, name)
        try:
            result = await obstore.get_async(self._store, self._path(digest))
        except (NotFoundError, FileNotFoundError) as error:
            raise ArtifactError(
                f"The artifact {self.uri(digest)} is gone; run the job again with --force to "
                "make it anew."
            ) from error
        except (OSError, BaseError) as error:
            raise ArtifactError(
                f"The artifact {self.uri(digest)} cannot be read: {error}. Check the store and "
                "its permissions."
            ) from error
        stored = bytes(await result.bytes_async())
        if digest_bytes(stored) == digest:
            # Small, or from before anything was compressed.
            return stored
        try:
            data = unpacked(stored, f"The artifact {self.uri(digest)}")
        except RecordsError as error:
            raise ArtifactError(str(error)) from error
        if digest_bytes(data) != digest:
            raise ArtifactError(
                f"The artifact {self.uri(digest)} is damaged: its content does not match its "
                "name. Delete it and run the job again with --force."
            )
        return data

    async def put_model(self, model: BaseModel) -> str:
        """Store a model as JSON and return its digest."""
        return await self.put(model.model_dump_json().encode(), type(model).__name__)

    async def get_model(self, digest: str, model: type[ModelT]) -> ModelT:
        """Read a model back.

        Raises:
            ArtifactError: it is absent, damaged, or of another schema.
        """
        try:
            return model.model_validate_json(await self.get(digest, model.__name__))
        except ValidationError as error:
            raise ArtifactError(
                f"The artifact {self.uri(digest)} is not a {model.__name__} of this version "
                f"({error.error_count()} fields differ); run the job again with --force."
            ) from error

    async def stored(self) -> AsyncIterator[StoredArtifact]:
        """Every object of the store, in no order."""
        async for some in obstore.list(self._store, prefix="sha256"):
            for item in some:
                digest = item["path"].rsplit("/", 1)[-1]
                yield StoredArtifact(digest, item["size"], item["last_modified"])

    def delete(self, digests: Iterable[str]) -> None:
        """Delete objects; those that are gone already are fine.

        Raises:
            ArtifactError: the store does not let us.
        """
        for digest in digests:
            try:
                obstore.delete(self._store, self._path(digest))
            except (NotFoundError, FileNotFoundError):
                continue
            except (OSError, BaseError) as error:
                raise ArtifactError(
                    f"The artifact {self.uri(digest)} cannot be deleted: {error}. Check the "
                    "permissions of the store."
                ) from error
