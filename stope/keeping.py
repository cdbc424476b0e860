"""Clearing out: what no kept run needs goes, and its space with it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from stope.artifacts import ArtifactStore, StoredArtifact
from stope.errors import ArtifactError, RecordsBusyError
from stope.models.keeping import Amount, GcReport, KeepPolicy
from stope.records.database import Database
from stope.records.keeping import GRACE, KeepingRecords, Sweep

log = logging.getLogger(__name__)

_TRANSCRIPT = re.compile(rb'"transcript_digest":\s*"([0-9a-f]{64})"')
_SCRATCH = re.compile(r"^([0-9a-f]{64})\.s16(\..+)?$")
_HALF_WRITTEN = "*#*"
"""How the store names what it has not published yet; see ``object_store::local``."""


async def collect_garbage(
    database: Database,
    artifacts: ArtifactStore,
    scratch: Path,
    policy: KeepPolicy,
    now: datetime | None = None,
) -> GcReport:
    """Delete what no kept run needs, and give its space back. A dry run only counts.

    Nothing that was made within the last hour goes, nothing that a job which can be resumed needs,
    and nothing that the result of a kept job names. Inputs, exports and the names of speakers are
    never touched. May run while jobs run.

    Args:
        database: the records.
        artifacts: where large results are.
        scratch: the folder of decoded audio.
        policy: which runs are kept.
        now: default: the time it is.

    Raises:
        RecordsBusyError: somebody else has the records for longer than we can wait.
        ArtifactError: the artifact store cannot be listed, or does not let us delete.
    """
    now = now or datetime.now(UTC)
    records = KeepingRecords(database)
    sweep = await records.sweep(policy, now)
    needed = sweep.needed | await _named_inside(artifacts, sweep)
    unneeded = {
        item.digest: item
        async for item in artifacts.stored()
        if item.digest not in needed and _is_old(item, sweep, now)
    }
    litter = await asyncio.to_thread(_litter, scratch, artifacts.folder, sweep.open_inputs, now)
    doomed = set(unneeded)
    reclaimed: int | None = None
    if not policy.dry_run:
        doomed = await records.drop_artifacts(unneeded, needed, artifacts.delete)
        await asyncio.to_thread(_remove, litter)
        reclaimed = await _vacuumed(records)
    return GcReport(
        dry_run=policy.dry_run,
        jobs=sweep.jobs,
        runs=sweep.runs,
        units=sweep.units,
        plans=sweep.plans,
        answers=sweep.answers,
        artifacts=_amount(unneeded[digest].size for digest in doomed),
        scratch=_amount(litter.values()),
        kept_jobs=len(sweep.kept.jobs),
        kept_runs=len(sweep.kept.runs),
        kept_unknown=sweep.unknown,
        reclaimed=reclaimed,
    )


async def _named_inside(artifacts: ArtifactStore, sweep: Sweep) -> set[str]:
    """The transcripts of claims and knowledge that jobs start from: no row needs to name them."""
    found: set[str] = set()
    for digest in sweep.inputs:
        try:
            if await artifacts.may_be_document(digest):
                data = await artifacts.get(digest)
                found.update(name.decode() for name in _TRANSCRIPT.findall(data))
        except ArtifactError:
            # A recording or a text is seldom one; what else is missing, its job will say.
            log.debug("the input %s is not among the artifacts", digest)
    return found


def _is_old(item: StoredArtifact, sweep: Sweep, now: datetime) -> bool:
    unknown = sweep.unknown_until
    return item.made_at < now - GRACE and (unknown is None or item.made_at > unknown)


def _litter(
    scratch: Path, artifact_folder: Path | None, at_work: frozenset[str], now: datetime
) -> dict[Path, int]:
    """Decoded audio that no open job works on, and what was never published; with their sizes."""
    found: list[Path] = []
    if scratch.is_dir():
        for path in scratch.iterdir():
            name = _SCRATCH.match(path.name)
            if name and name.group(1) not in at_work:
                found.append(path)
    if artifact_folder is not None:
        found += artifact_folder.rglob(_HALF_WRITTEN)
    litter: dict[Path, int] = {}
    for path in found:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        if stat.st_mtime < (now - GRACE).timestamp():
            litter[path] = stat.st_size
    return litter


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


async def _vacuumed(records: KeepingRecords) -> int | None:
    try:
        return await records.vacuum()
    except RecordsBusyError as error:
        log.warning("the space of what was deleted is not given back yet: %s", error)
        return None


def _amount(sizes: Iterable[int]) -> Amount:
    found = list(sizes)
    return Amount(count=len(found), bytes=sum(found))
