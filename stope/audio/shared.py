"""Decoded samples in the artifact store, for workers that have no disk in common.

A copy is the object ``samples/<job>/<SHA-256 of it>.s16``: little-endian 16-bit samples as they
are, so that a window of it is one request for its bytes. It belongs to one job, and goes when that
job has its transcript.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stope.artifacts import ArtifactStore
from stope.identity import digest_file
from stope.objects.store import in_thread

FOLDER = "samples"

SAMPLE_BYTES = 2

_NAME = re.compile(rf"{FOLDER}/([^/]+)/([0-9a-f]{{64}})\.s16")


@dataclass(frozen=True)
class SharedCopy:
    """A copy as it is named: ``digest`` is what its content has to have."""

    path: str
    digest: str


class SharedSamples:
    """The copies of one job. None is believed before its bytes are compared with a digest.

    Args:
        artifacts: a store that workers of other machines use too.
        job_id: of the job that listens.

    Raises:
        StorageUnavailableError: any method: the store is away; that says nothing of what is there.
        StorageRefusedError: any method: it does not let us.
        StorageFullError: from ``publish``: there is no room.
    """

    def __init__(self, artifacts: ArtifactStore, job_id: str) -> None:
        self._artifacts = artifacts
        self._folder = f"{FOLDER}/{job_id}"

    async def find(self, samples: int, but: Collection[str] = ()) -> SharedCopy | None:
        """A copy of so many samples, by its name alone; None only where there truly is none.

        Args:
            samples: in the whole recording.
            but: names of copies that are not wanted.
        """
        for info in await self._artifacts.named(self._folder):
            found = _NAME.fullmatch(info.path)
            if found and info.size == SAMPLE_BYTES * samples and info.path not in but:
                return SharedCopy(info.path, found.group(2))
        return None

    async def publish(
        self, file: Path, stopped: Callable[[], bool] = lambda: False
    ) -> SharedCopy | None:
        """Store the samples in a file whole, sent in parts.

        None, and nothing stored, where ``stopped`` says so, which is asked before every part.

        Raises:
            FileNotFoundError: the file is gone.
        """
        digest = await in_thread(lambda: digest_file(file))
        copy = SharedCopy(f"{self._folder}/{digest}.s16", digest)
        sent = await self._artifacts.put_named_file(copy.path, file, stopped=stopped)
        return copy if sent else None

    async def read(self, copy: SharedCopy, start: int, end: int) -> bytes | None:
        """The bytes of samples ``[start, end)`` as they lie there; None where the copy is gone."""
        return await self._artifacts.range_named(
            copy.path, SAMPLE_BYTES * start, SAMPLE_BYTES * end
        )

    async def remove_all(self) -> None:
        """Delete what there is of the job."""
        for path in await self._artifacts.list_named(self._folder):
            await self._artifacts.delete_named(path)


async def left_copies(
    artifacts: ArtifactStore,
    needed: Collection[str],
    known: Collection[str] | None,
    before: datetime,
) -> dict[str, int]:
    """Copies that were published before a time and are of jobs that need none: names and bytes.

    Args:
        artifacts: the store.
        needed: the ids of jobs that still need theirs.
        known: only copies of these jobs; None for all.
        before: in UTC.
    """
    found: dict[str, int] = {}
    for info in await artifacts.named(FOLDER):
        name = _NAME.fullmatch(info.path)
        if name is None or name.group(1) in needed or info.modified >= before:
            continue
        if known is None or name.group(1) in known:
            found[info.path] = info.size
    return found
