"""Clearing out: what no kept run needs goes, and its space with it."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from stope.artifacts import ArtifactStore, StoredArtifact
from stope.audio.shared import left_copies
from stope.errors import ArtifactError, RecordsBusyError, UsageError
from stope.models.job import Job, JobType
from stope.models.keeping import Amount, GcReport, KeepPolicy
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.keeping import GRACE, KeepingRecords, Sweep
from stope.records.sources import SourceDigests
from stope.run_folders import RunFolders, drop_checkpoints, left_folders, named_by_checkpoints

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
    and nothing that the result of a kept job, or a checkpoint in the store, names. Inputs, exports
    and the names of speakers are never touched. May run while jobs run.

    Args:
        database: the records.
        artifacts: where large results are.
        scratch: the folder of decoded audio.
        policy: which runs are kept.
        now: default: the time it is.

    Raises:
        RecordsBusyError: somebody else has the records for longer than we can wait.
        UsageError: other records use the store, and the policy does not say that it may be.
        StorageUnavailableError: the artifact store is away. Rows are gone by then, and some
            artifacts; the next time finds the rest.
        StorageRefusedError: it cannot be listed, or does not let us delete.
    """
    now = now or datetime.now(UTC)
    is_alone = await _claimed(database, artifacts, policy)
    records = KeepingRecords(database)
    jobs = JobRecords(database)
    jobs_before = await _with_folders(jobs)
    listening = await jobs.of_type(JobType.TRANSCRIBE)
    sweep = await records.sweep(policy, now)
    jobs_after = await _with_folders(jobs)
    folders = RunFolders.of(jobs_before, jobs_after, sweep.kept.jobs)
    dropped = folders.dropped if is_alone else frozenset()
    if not policy.dry_run:
        await drop_checkpoints(artifacts, dropped)
    needed = sweep.needed | await _named_inside(artifacts, sweep)
    needed |= await named_by_checkpoints(artifacts, dropped)
    unneeded = {
        item.digest: item
        async for item in artifacts.stored()
        if item.digest not in needed and _is_old(item, sweep, now)
    }
    litter = await asyncio.to_thread(_litter, scratch, artifacts.folder, sweep.open_inputs, now)
    litter |= await asyncio.to_thread(left_folders, scratch, folders.at_work, now)
    listening += await jobs.of_type(JobType.TRANSCRIBE)
    copies = await _copies(artifacts, listening, is_alone, now)
    doomed = set(unneeded)
    reclaimed: int | None = None
    if not policy.dry_run:
        delete = artifacts.impatient().delete
        doomed = await records.drop_artifacts(unneeded, needed, delete)
        await asyncio.to_thread(_remove, litter)
        for path in copies:
            await artifacts.delete_named(path)
        reclaimed = await _vacuumed(records)
    return GcReport(
        dry_run=policy.dry_run,
        jobs=sweep.jobs,
        runs=sweep.runs,
        units=sweep.units,
        plans=sweep.plans,
        answers=sweep.answers,
        artifacts=_amount(unneeded[digest].size for digest in doomed),
        scratch=_amount([*litter.values(), *copies.values()]),
        kept_jobs=len(sweep.kept.jobs),
        kept_runs=len(sweep.kept.runs),
        kept_unknown=sweep.unknown,
        reclaimed=reclaimed,
    )


async def _with_folders(jobs: JobRecords) -> list[Job]:
    """All jobs whose runs have folders: those of step pipelines and of episodes."""
    return [*await jobs.of_type(JobType.STEPS), *await jobs.of_type(JobType.PIPELINE)]


async def _claimed(database: Database, artifacts: ArtifactStore, policy: KeepPolicy) -> bool:
    """Whether these records are the only ones that use the store; they have its mark then.

    Raises:
        UsageError: others do, and the policy does not say that it may be cleared out all the same.
    """
    owner = SourceDigests(database).owner
    if not policy.dry_run:
        await artifacts.mark(owner)
    others = await artifacts.owners()
    if others:
        others.pop(await owner(), None)
    if others and not policy.shared_store:
        told = "; ".join(f"{name} of {note}" for name, note in sorted(others.items()))
        raise UsageError(
            f"Other records use {artifacts.url} too ({told}), and what only they need would go. "
            "Give each its own STOPE_ARTIFACTS_URL; delete owners/ID there for those that are no "
            "more; or insist with --shared-store. Nothing was deleted."
        )
    return not others


async def _copies(
    artifacts: ArtifactStore, jobs: Iterable[Job], is_alone: bool, now: datetime
) -> dict[str, int]:
    """Shared samples of transcriptions that have their results, or are no more; with their sizes.

    Args:
        artifacts: the store.
        jobs: all transcriptions before and after a sweep, as they were.
        is_alone: whether nobody else's jobs have samples there.
        now: the time it is.
    """
    newest = {job.id: job for job in jobs}
    needed = {job.id for job in newest.values() if not job.status.has_result}
    return await left_copies(artifacts, needed, None if is_alone else newest.keys(), now - GRACE)


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
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
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
