"""What runs of step pipelines leave behind: checkpoints in the store, folders in scratch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, StopeError
from stope.models.job import Job
from stope.models.steps import StepCheckpoint
from stope.records.keeping import GRACE
from stope.records.kept import digests_in
from stope.steps.identity import run_guid_of

log = logging.getLogger(__name__)

_RUNS = "runs"
_AT_ONCE = 16

COPY_GRACE = timedelta(days=1)
"""A copy of an input stays as it is while it is sent, which takes its time."""


@dataclass(frozen=True)
class RunFolders:
    """Run ids: those whose jobs a sweep has dropped, and those whose jobs are not over."""

    dropped: frozenset[str]
    at_work: frozenset[str]

    @classmethod
    def of(cls, before: Sequence[Job], after: Sequence[Job], kept: Collection[str]) -> RunFolders:
        """Of all jobs before and after a sweep, which kept some of those before.

        Several jobs may have one run id.
        """
        known = {job.id for job in before}
        staying = {run_guid_of(job) for job in after if job.id in kept or job.id not in known}
        return cls(
            dropped=frozenset(map(run_guid_of, before)) - staying,
            at_work=frozenset(run_guid_of(job) for job in after if not job.status.finished),
        )


async def drop_checkpoints(artifacts: ArtifactStore, run_guids: Collection[str]) -> None:
    """Delete what is in the store by the name of some runs. A failure is logged: it stays."""
    for run_guid in sorted(run_guids):
        try:
            for path in await artifacts.list_named(f"{_RUNS}/{run_guid}"):
                await artifacts.delete_named(path)
        except StopeError as error:
            log.warning("the checkpoint of the run %s stays: %s", run_guid, error)


async def named_by_checkpoints(artifacts: ArtifactStore, without: Collection[str]) -> set[str]:
    """What the checkpoints in a store need, whosever runs they are of.

    That is every digest in them, and in the lists of artifacts that their steps used.

    Args:
        artifacts: the store.
        without: runs that do not count.
    """
    paths = [path for path in await artifacts.list_named(_RUNS) if _guid_in(path) not in without]
    found: set[str] = set()
    for first in range(0, len(paths), _AT_ONCE):
        bodies = map(artifacts.read_named, paths[first : first + _AT_ONCE])
        for body in await asyncio.gather(*bodies):
            found |= digests_in((body or b"").decode(errors="replace"))
            for digest in _uses_in(body):
                found |= await _listed(artifacts, digest)
    return found


def _uses_in(body: bytes | None) -> list[str]:
    try:
        return sorted(set(StepCheckpoint.model_validate_json(body or b"").stope.uses.values()))
    except ValidationError:
        # Somebody's own, or of a later version; what it names itself is kept.
        return []


async def _listed(artifacts: ArtifactStore, digest: str) -> frozenset[str]:
    try:
        return digests_in((await artifacts.get(digest)).decode(errors="replace"))
    except ArtifactError as error:
        log.info("what a step used is not kept with its checkpoint: %s", error)
        return frozenset()


def left_folders(scratch: Path, at_work: Collection[str], now: datetime) -> dict[Path, int]:
    """Folders in scratch whose process was killed, or whose run is over, with their sizes."""
    found: dict[Path, int] = {}
    for folder in scratch.glob("copy-*"):
        _add_old(found, folder, now - COPY_GRACE)
    for folder in scratch.glob("steps/*"):
        if folder.name not in at_work:
            _add_old(found, folder, now - GRACE)
    return found


def _add_old(found: dict[Path, int], folder: Path, before: datetime) -> None:
    try:
        if not folder.is_dir():
            return
        stats = [path.stat() for path in (folder, *folder.rglob("*"))]
    except FileNotFoundError:
        # Somebody is at work in it.
        return
    if max(stat.st_mtime for stat in stats) < before.timestamp():
        found[folder] = sum(stat.st_size for stat in stats[1:])


def _guid_in(path: str) -> str:
    return path.split("/")[1]
