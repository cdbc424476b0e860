"""The inputs of one attempt at a step: opened wherever they are, and seen to be what they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.identity import digest_bytes
from stope.models.job import InputFile, InputKind, JobInput
from stope.objects.store import in_thread
from stope.sources.copies import input_source
from stope.sources.digests import DigestMemory, remembered_digest, source_digest
from stope.sources.source import Source

_State = tuple[int | str, ...]


class StepInputs:
    """Opens inputs, and refuses those that are not any more what their job was made for.

    What a step makes is kept as if it were made of the input's digest. Each version of a file is
    compared with it once; a file that is opened again and has not changed is not read again.

    Args:
        artifacts: where copies of inputs are.
        memory: of digests of what is remote; None reads it.

    Raises:
        InputError: any method: it is gone, cannot be read, or has another content.
        StorageUnavailableError: any method: it is remote and cannot be reached now.
    """

    def __init__(self, artifacts: ArtifactStore, memory: DigestMemory | None) -> None:
        self._artifacts = artifacts
        self._memory = memory
        self._seen: dict[str, _State] = {}
        self._comparing = asyncio.Lock()

    @asynccontextmanager
    async def open(self, file: InputFile) -> AsyncIterator[Source]:
        """One of them, to be read; it is closed at the end."""
        source = await self._source(file)
        try:
            await self._compare(source, file)
            yield source
        finally:
            await in_thread(source.close)

    async def read(self, file: InputFile) -> bytes:
        """All bytes of one of them."""
        source = await self._source(file)

        def read() -> bytes:
            with source, source.open() as stream:
                return stream.read()

        with _readable(source):
            data = await in_thread(read)
        if await in_thread(lambda: digest_bytes(data)) != file.digest:
            raise _changed(source)
        return data

    async def _source(self, file: InputFile) -> Source:
        given = JobInput(kind=InputKind.RECORDING, digest=file.digest, path=file.path)
        return await input_source(given, self._artifacts)

    async def _compare(self, source: Source, file: InputFile) -> None:
        with _readable(source):
            state = await in_thread(lambda: _state(source))
            # One after another: several units may begin with the same file.
            async with self._comparing:
                if state and self._seen.get(file.path) == state:
                    return
                if self._memory is None:
                    digest = await source_digest(source)
                else:
                    digest = await remembered_digest(source, self._memory)
                if digest != file.digest:
                    raise _changed(source)
                self._seen[file.path] = state


def _state(source: Source) -> _State:
    """By what a change shows; () where nothing tells."""
    if source.path is None:
        return (source.size, source.version) if source.version else ()
    stat = source.path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror}); check the path and its permissions."
        ) from error


def _changed(source: Source) -> InputError:
    return InputError(
        f"{source} has changed since this job was made; run it again and its new content becomes a "
        "job of its own."
    )
