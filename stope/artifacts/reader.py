"""Reading content-addressed objects: whole and checked, or a range of them. Everything blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stope.artifacts.body import content_of, content_size, damaged, is_packed
from stope.compression import unpacked
from stope.errors import ArtifactError, ObjectChangedError, ObjectMissingError, RecordsError
from stope.identity import digest_bytes
from stope.objects.store import ObjectStore
from stope.published import published

ResultT = TypeVar("ResultT")

CONTENT = "sha256"
"""The folder of the content-addressed objects. Named ones are outside, where nothing is swept."""

_READINGS = 3
"""Times that an object is read when somebody stores the same again meanwhile."""

_HEAD = 64
_FORMS_AT_MOST = 1024


def content_path(digest: str) -> str:
    """The name of a content-addressed object."""
    return f"{CONTENT}/{digest[:2]}/{digest}"


def begun_again(read: Callable[[], ResultT]) -> ResultT:
    """What reading an object gives, begun again where it is replaced meanwhile."""
    for _ in range(_READINGS - 1):
        try:
            return read()
        except ObjectChangedError:
            continue
    return read()


@dataclass(frozen=True)
class _Form:
    """How one version of an object lies there, and the size of its content."""

    version: str
    head: bytes
    plain: bool
    size: int


class ContentReader:
    """Reads artifacts of one store, from several threads.

    Raises:
        ArtifactError: any method: the artifact is absent, or its bytes have another digest.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._forms: dict[str, _Form] = {}

    def get(self, digest: str) -> bytes:
        """All of it."""
        return self._whole(lambda: self._get(digest), digest)

    def get_to_file(self, digest: str, file: Path) -> None:
        """All of it, into a file that gets its name when it is whole and checked.

        Raises:
            StorageFullError: the file's disk has no room.
        """

        def receive() -> None:
            sha = hashlib.sha256()
            with published(file) as stream:
                for block in content_of(self._blocks(digest), self._what(digest)):
                    sha.update(block)
                    stream.write(block)
                if sha.hexdigest() != digest:
                    raise damaged(self._what(digest))

        self._whole(receive, digest)

    def range(self, digest: str, start: int, end: int) -> bytes:
        """Bytes ``[start, end)`` of its content, fewer where it ends before."""

        def read() -> bytes:
            form = self._form(digest)
            if not form.plain:
                return self._get(digest)[start:end]
            try:
                return self._store.piece(content_path(digest), start, end, form.version).data
            except ObjectChangedError:
                # The same content may lie there in another form by now.
                self._forms.pop(digest, None)
                raise

        return self._whole(read, digest)

    def size(self, digest: str) -> int:
        """Bytes of its content."""
        return self._whole(lambda: self._form(digest).size, digest)

    def may_be_document(self, digest: str) -> bool:
        """Whether it may be a model's JSON, by its first bytes: nothing large is read."""

        def look() -> bool:
            form = self._form(digest)
            return not form.plain or form.head.startswith(b"{")

        return self._whole(look, digest)

    def _form(self, digest: str) -> _Form:
        found = self._forms.get(digest)
        if found is not None:
            return found
        piece = self._store.piece(content_path(digest), 0, _HEAD)
        size = content_size(piece.data, piece.info.size)
        if size is None:
            size = len(self._get(digest))
        if len(self._forms) >= _FORMS_AT_MOST:
            self._forms.clear()
        form = _Form(piece.info.version, piece.data, not is_packed(piece.data), size)
        return self._forms.setdefault(digest, form)

    def _get(self, digest: str) -> bytes:
        stored = b"".join(self._blocks(digest))
        if digest_bytes(stored) == digest:
            # Small, or from before anything was compressed.
            return stored
        try:
            data = unpacked(stored, self._what(digest))
        except RecordsError as error:
            raise ArtifactError(str(error)) from error
        if digest_bytes(data) != digest:
            raise damaged(self._what(digest))
        return data

    def _blocks(self, digest: str) -> Iterator[bytes]:
        return (piece.data for piece in self._store.pieces(content_path(digest)))

    def _whole(self, read: Callable[[], ResultT], digest: str) -> ResultT:
        try:
            return begun_again(read)
        except ObjectMissingError:
            raise ArtifactError(
                f"{self._what(digest)} is gone; run the job again with --force to make it anew."
            ) from None

    def _what(self, digest: str) -> str:
        return f"The artifact {self._store.uri(content_path(digest))}"
