"""Content-addressed objects in any object store, compressed where that pays, checked on every read.

An object is published whole, so a reader sees all of it or nothing. The digest is that of the
content, whatever the stored form.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stope.artifacts.body import Sending, read_facts
from stope.artifacts.claim import FolderClaim, StoreRecords
from stope.artifacts.latest import LatestWrites
from stope.artifacts.named import May, NamedObjects
from stope.artifacts.owners import OWNERS, owner_note, owner_path
from stope.artifacts.reader import CONTENT, ContentReader, begun_again, content_path
from stope.compression import packed
from stope.errors import ArtifactError, ObjectMissingError, UsageError
from stope.identity import digest_bytes
from stope.objects.address import checked_name
from stope.objects.patience import Patience
from stope.objects.places import open_store
from stope.objects.port import PART, ObjectInfo
from stope.objects.store import for_each, in_thread

ModelT = TypeVar("ModelT", bound=BaseModel)

_SHORT = Patience(connect=2, request=3, attempts=1)
_NOTE_AT_MOST = 200

Use = Callable[[Sequence[str], str], Awaitable[None]]
"""Told digests and what they are, before they are stored or read."""


@dataclass(frozen=True)
class StoredArtifact:
    """An object as it lies in the store: ``size`` in bytes there, ``made_at`` in UTC."""

    digest: str
    size: int
    made_at: datetime


class ArtifactStore:
    """Artifacts behind one URL (``file:///…``, ``s3://…``, ``gs://…`` or ``memory://``).

    Args:
        url: where. Nothing is reached for before the first call; a folder is made.
        patience: how often and how long a call to a store elsewhere is tried.
        records: who uses the store. A folder that they have used is known again by their mark, and
            made by the first call only if they have not.

    Raises:
        UsageError: the URL cannot be used.
        StorageUnavailableError: any method: the store is away or too slow; trying later may help.
        StorageRefusedError: any method: it does not let us, or there is no such bucket.
        StorageFullError: any method that writes: there is no room.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: Patience | None = None,
        records: StoreRecords | None = None,
    ) -> None:
        self._store = open_store(url, patience=patience, make_folder=records is None)
        self._records = records
        if records is not None and self._store.place is not None:
            claim = FolderClaim(self._store.raw, self._store.place, records, CONTENT)
            self._store.ready = claim.ready
        self._use: Use | None = None
        self._marks: set[str] = set()
        self._latest = LatestWrites()
        self._reader = ContentReader(self._store)
        self._named = NamedObjects(self._store)
        self.url = self._store.url
        self.folder = self._store.folder

    async def prepare(self) -> None:
        """Make a folder that nobody has used yet; nothing is done to a store elsewhere.

        Raises:
            UsageError: it cannot be made.
            StorageUnavailableError: it has been used, and is not there.
        """
        if self._store.ready is not None:
            await self._store.ready()

    def telling(self, use: Use) -> ArtifactStore:
        """The same store, which tells of every object before it is stored or read."""
        twin = copy.copy(self)
        twin._use = use  # noqa: SLF001  (its own)
        return twin

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is reached over a network: it is neither a folder nor memory."""
        return self.folder is None and not self.url.startswith("memory:")

    def impatient(self) -> ArtifactStore:
        """The same store for whoever holds something that others wait for: a call fails soon."""
        if not self.is_elsewhere:
            return self
        return ArtifactStore(self.url, patience=_SHORT)

    def uri(self, digest: str) -> str:
        """Where an object lives, for people and for ``transcript_path``."""
        return self._store.uri(content_path(digest))

    async def put(self, data: bytes, name: str = "", *, durable: bool = False) -> str:
        """Store bytes and return their digest. Storing the same bytes again changes nothing.

        Args:
            data: what is stored.
            name: says what they are to whoever is told of it.
            durable: whether they are on the disk of a local store when this returns, as they are in
                a bucket. What is not may be torn when the machine goes down.
        """
        [digest] = await self.put_all([data], name, durable=durable)
        return digest

    async def put_all(
        self, contents: Iterable[bytes], name: str = "", *, durable: bool = False
    ) -> list[str]:
        """``put`` for several at once, which have to fit into memory; their digests, in order.

        A generator of them runs in the thread that takes their digests, which is none of those that
        wait for stores. What it raises is raised here, and nothing is stored.
        """

        def prepare() -> list[tuple[str, bytes]]:
            return [(digest_bytes(data), packed(data)) for data in contents]

        bodies = await asyncio.to_thread(prepare)
        if not bodies:
            return []
        digests = [digest for digest, _ in bodies]
        await self._tell(digests, name)
        store = self._store

        def send_one(path: str, body: bytes) -> None:
            store.patience.call(lambda: store.raw.put(path, body))
            if durable and store.place is not None:
                store.place.settle(path)

        def send() -> None:
            for digest, body in bodies:
                send_one(content_path(digest), body)

        await store.do(send)
        return digests

    async def put_file(self, path: Path, name: str = "", *, compress: bool = True) -> str:
        """``put`` for a file of any size, sent in parts as it is read.

        Args:
            path: the file; it is only read.
            name: says what it is to whoever is told of it.
            compress: False keeps it as it is, so that ``read_range`` of it is cheap.

        Raises:
            InputError: the file changes meanwhile; nothing is published.
            OSError: it cannot be read.
        """
        facts = await in_thread(lambda: read_facts(path, compress=compress))
        await self._tell([facts.digest], name)
        store, to = self._store, content_path(facts.digest)

        def send() -> None:
            with Sending(facts) as body:
                if facts.size <= PART:
                    store.raw.put(to, body.read())
                else:
                    store.raw.put_stream(to, body, facts.size)

        await store.do(lambda: store.patience.call(send))
        return facts.digest

    async def hold(self, digest: str, name: str = "") -> None:
        """Note that an artifact is needed, without reading it: a unit that was kept names it."""
        await self._tell([digest], name)

    async def hold_all(self, digests: Sequence[str], name: str = "") -> None:
        """``hold`` for several."""
        await self._tell(digests, name)

    async def get(self, digest: str, name: str = "") -> bytes:
        """The bytes of a digest.

        Raises:
            ArtifactError: it is absent, or its bytes have another digest.
        """
        await self._tell([digest], name)
        return await self._store.do(lambda: self._reader.get(digest))

    async def get_to_file(self, digest: str, path: Path, name: str = "") -> None:
        """Stream an artifact into a file, which gets its name when it is whole and checked.

        Raises:
            ArtifactError: it is absent, or its bytes have another digest.
            StorageFullError: the file's disk has no room.
        """
        await self._tell([digest], name)

        await self._store.do(lambda: self._reader.get_to_file(digest, path))

    async def read_range(self, digest: str, start: int, end: int) -> bytes:
        """Bytes ``[start, end)`` of an artifact's content, fewer where it ends before.

        One request for what was stored as it is (``put_file`` with ``compress=False``); what is
        compressed is read whole and checked. A part cannot be checked against the digest.

        Raises:
            ArtifactError: it is absent, or damaged.
        """
        await self._tell([digest], "")
        return await self._store.do(lambda: self.range_now(digest, start, end))

    async def size(self, digest: str) -> int:
        """Bytes of an artifact's content.

        Raises:
            ArtifactError: it is absent.
        """
        return await self._store.do(lambda: self.size_now(digest))

    async def exists(self, digest: str) -> bool:
        """Whether an artifact is there; False only where it truly is not."""
        return await self._store.head(content_path(digest)) is not None

    async def may_be_document(self, digest: str) -> bool:
        """Whether an artifact may be a model's JSON, by its first bytes: a recording is not read.

        Raises:
            ArtifactError: it is absent.
        """
        return await self._store.do(lambda: self._reader.may_be_document(digest))

    async def put_model(self, model: BaseModel) -> str:
        """Store a model as JSON and return its digest; it is on the disk before a row names it."""
        name = type(model).__name__
        return await self.put(model.model_dump_json().encode(), name, durable=True)

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
        """Every content-addressed object of the store, in no order."""
        async for info in self._store.list(CONTENT):
            yield StoredArtifact(info.path.rsplit("/", 1)[-1], info.size, info.modified)

    def delete(self, digests: Iterable[str]) -> None:
        """Delete objects, several at once; those that are gone already are fine. Blocks.

        Nothing is deleted any more after it has raised.
        """
        store = self._store

        def delete_one(digest: str) -> None:
            store.patience.call(lambda: store.raw.delete(content_path(digest)))

        for_each(delete_one, digests)

    async def write_named(self, path: str, data: bytes, *, may: May | None = None) -> None:
        """Store bytes under a name of ours, in the place of what was there; whole or not at all.

        Args:
            path: the name.
            data: the bytes.
            may: whether what is found there may be replaced, whichever process wrote it; where it
                may not, nothing is done. Default: anything may.

        Raises:
            UsageError: the name does not stay in the store, or is of the content-addressed part.
        """
        if may is None:
            await self._store.put(_named(path), data)
        else:
            await self._named.replace(_named(path), data, may)

    async def read_named(self, path: str) -> bytes | None:
        """The bytes under a name; None only where there truly are none."""
        return await self._named.read(_named(path))

    async def put_named_file(
        self, path: str, file: Path, *, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """``write_named`` for a file of any size, sent in parts as it is.

        ``stopped`` is asked in a thread before every part: where it says so, the answer is False,
        and there is nothing.

        Raises:
            OSError: it cannot be read.
        """
        return await self._store.put_file(_named(path), file, stopped=stopped)

    async def range_named(self, path: str, start: int, end: int) -> bytes | None:
        """Bytes ``[start, end)`` of what is under a name, fewer where it ends before.

        None only where there truly is nothing.
        """
        name, store = _named(path), self._store
        try:
            return await store.do(lambda: begun_again(lambda: store.piece(name, start, end).data))
        except ObjectMissingError:
            return None

    async def delete_named(self, path: str) -> None:
        """Delete what is under a name; that there is nothing is fine."""
        await self._named.delete(_named(path))

    async def replace_named(
        self, path: str, data: bytes | None, *, seconds: float, may: May | None = None
    ) -> None:
        """``write_named``, or ``delete_named`` for None, that is waited for so long at most.

        It goes on then, and what is asked for later comes after it: never is a name left with what
        is older. Of several processes that holds where they say what they may replace.

        Raises:
            TimeoutError: it is not done yet.
        """

        async def do(newest: bytes | None) -> None:
            if newest is None:
                await self.delete_named(path)
            else:
                await self.write_named(path, newest, may=may)

        await self._latest.make(_named(path), data, do, seconds)

    async def mark(self, owner: Callable[[], Awaitable[str]]) -> None:
        """Leave the mark of the records that use this store, before they do; once is enough.

        Args:
            owner: gives their id.
        """
        if not self._marks:
            name = await owner()
            if self._store.ready is None:
                await self._store.put(owner_path(name), owner_note())
                if self._records is not None:
                    await self._records.keep_store(self.url, owner_note().decode())
            else:
                # A folder that knows its records gets their mark when it is first used.
                await self._store.ready()
            self._marks.add(name)

    async def owners(self) -> dict[str, str]:
        """The records that have left their mark: ids, and for people where and when they did."""
        found: dict[str, str] = {}
        for path in await self.list_named(OWNERS):
            body = await self.read_named(path)
            if body is not None:
                found[path.rpartition("/")[2]] = body.decode(errors="replace")[:_NOTE_AT_MOST]
        return found

    async def list_named(self, prefix: str) -> list[str]:
        """The names below a name, in their order."""
        return [info.path for info in await self.named(prefix)]

    async def named(self, prefix: str) -> list[ObjectInfo]:
        """What lies below a name, in the order of the names."""
        return [info async for info in self._store.list(_named(prefix))]

    async def check(self) -> None:
        """Write, read back and delete a small object."""
        await self._store.check()

    def range_now(self, digest: str, start: int, end: int) -> bytes:
        """``read_range`` for whoever is in a thread already. Blocks."""
        return self._reader.range(digest, start, end)

    def size_now(self, digest: str) -> int:
        """``size`` for whoever is in a thread already. Blocks."""
        return self._reader.size(digest)

    async def _tell(self, digests: Sequence[str], name: str) -> None:
        if self._use is not None:
            await self._use(digests, name)


def _named(path: str) -> str:
    if checked_name(path).partition("/")[0] == CONTENT:
        raise UsageError(f"{path!r} is the name of an artifact, not of an object of ours.")
    return path
