"""Inputs that have to be copied, and where a job's input is read from.

A URL with a query is good for a while only, and whoever has it has the right that is in it, so it
is kept nowhere. A server may give no parts, or nothing by which a change could be told. Such an
input is copied into the artifact store when its job is made; every worker finds it there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.models.job import InputKind, JobInput
from stope.objects.store import in_thread
from stope.published import published
from stope.sources.location import is_remote
from stope.sources.source import Source, open_source
from stope.sources.web import WebReader

COPY_LIMIT = 16 << 30
"""Bytes that are copied at most; what is larger is put where it can be read by range."""

_COPIED_SCHEMES = ("http://", "https://")


async def copy_input(reader: WebReader, shown: str, artifacts: ArtifactStore, scratch: Path) -> str:
    """Copy an input into the artifact store, by way of a file in scratch; gives its digest.

    Raises:
        InputError: it is empty, or larger than ``COPY_LIMIT``.
        StorageFullError: scratch or the store has no room.
        StorageUnavailableError: its server, or the store, went away.
    """

    def receive(file: Path) -> None:
        size = 0
        with published(file) as stream:
            for chunk in reader.stream():
                size += len(chunk)
                if size > COPY_LIMIT:
                    raise InputError(
                        f"{shown} has more than {COPY_LIMIT >> 30} GiB, which is not copied; put "
                        "it into a bucket, or on a server that gives parts and needs no query."
                    )
                stream.write(chunk)
        if size == 0:
            raise InputError(f"{shown} is empty (0 bytes); give a recording or a text.")

    await in_thread(lambda: scratch.mkdir(parents=True, exist_ok=True))
    with tempfile.TemporaryDirectory(dir=scratch, prefix="copy-") as folder:
        file = Path(folder) / "input"
        await in_thread(lambda: reader.patience.call(lambda: receive(file)))
        return await artifacts.put_file(file, compress=False)


class ArtifactReader:
    """A ``RangeReader`` of an artifact."""

    def __init__(self, digest: str, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self.version = digest
        self.size = artifacts.size_now(digest)

    def read(self, start: int, end: int) -> bytes:
        """As ``RangeReader``."""
        return self._artifacts.range_now(self.version, start, end)

    def close(self) -> None:
        """Nothing is held that somebody has to let go of."""


async def input_source(given: JobInput, artifacts: ArtifactStore) -> Source:
    """The recording or text that a job works on: a file, the copy of a URL, or the URL itself.

    Raises:
        InputError: it is not there any more, or we may not read it.
        StorageUnavailableError: it cannot be reached now.
    """
    if given.kind not in (InputKind.RECORDING, InputKind.TEXT):
        raise ValueError(f"a {given.kind.value} is read from the artifacts")
    location = given.path
    if not is_remote(location):
        return open_source(Path(location))
    if location.startswith(_COPIED_SCHEMES) and await artifacts.exists(given.digest):
        return await in_thread(
            lambda: Source(location, reader=ArtifactReader(given.digest, artifacts))
        )
    return await in_thread(lambda: open_source(location))


async def read_text(given: JobInput, artifacts: ArtifactStore) -> bytes:
    """The bytes of a text that a job starts from.

    Raises:
        InputError: it cannot be read, or is too large for a text.
        StorageUnavailableError: it is remote and cannot be reached.
    """
    source = await input_source(given, artifacts)

    def read() -> bytes:
        with source:
            return source.read_all()

    try:
        return await in_thread(read)
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}); check the path.") from error


def can_be_played(source: Source) -> bool:
    """Whether a browser that has a source's location can read it as we do."""
    return isinstance(source.reader, WebReader)
