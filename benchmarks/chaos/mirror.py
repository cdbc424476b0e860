"""Looks at the mirrored checkpoints of a run: they may lag behind the units, never lead."""

from __future__ import annotations

from sqlalchemy import select

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.journal import Journal
from benchmarks.chaos.record import Record
from stope.errors import RecordsBusyError
from stope.models.job import JsonObject
from stope.records.database import Database
from stope.records.schema import job, job_run, unit

_NAMES = ".names"


class MirrorWatch:
    """Compares checkpoints with what is committed.

    Args:
        database: the run's records.
        journal: says which unit has which key.
    """

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._versions: dict[str, tuple[int, int]] = {}

    async def look(self, record: Record) -> None:
        """Look once; what leads the truth, or goes back, is noted as a violation."""
        try:
            async with self._database.reading() as connection:
                # The mirror first: what it says must be true when it says it, and units only grow.
                found = list(
                    await connection.execute(
                        select(
                            job_run.c.run_id,
                            job.c.type,
                            job_run.c.checkpoint_json,
                            job_run.c.checkpoint_version,
                        ).join(job, job.c.id == job_run.c.job_id)
                    )
                )
            async with self._database.reading() as connection:
                committed = {row.key for row in await connection.execute(select(unit.c.key))}
                results = {
                    row.type
                    for row in await connection.execute(
                        select(job.c.type).where(job.c.result_json.is_not(None))
                    )
                }
        except RecordsBusyError:
            return  # The database is down just now: the next look sees the same row.
        record.mirrors_looked_at += 1
        for run_id, job_type, checkpoint, version in found:
            if checkpoint is None:
                continue
            self._compare(job_type, checkpoint, committed, results, record)
            percent = int(checkpoint.get("progress_percent", 0))
            before = self._versions.get(run_id, (0, 0))
            if version < before[0] or percent < before[1]:
                record.violations.append(
                    f"the mirror of {job_type} went back from version {before[0]} at "
                    f"{before[1]} % to {version} at {percent} %"
                )
            self._versions[run_id] = (version, percent)

    def _compare(
        self,
        job_type: str,
        checkpoint: JsonObject,
        committed: set[str],
        results: set[str],
        record: Record,
    ) -> None:
        ahead: list[str] = []
        if job_type == "mine":
            ahead = self._ahead_in_segments(_names(checkpoint, "completed_segments"), committed)
        elif job_type == "flagship":
            ahead = self._ahead_in_claims(_names(checkpoint, "completed_claims"), committed)
        elif job_type == "pipeline":
            ahead = [x for x in _names(checkpoint, "completed_stages") if x not in results]
        if ahead:
            record.violations.append(
                f"the mirror of {job_type} is ahead of the truth: {', '.join(ahead[:5])}"
            )

    def _ahead_in_segments(self, segments: list[str], committed: set[str]) -> list[str]:
        keys: dict[str, str] = {}
        for passage in self._journal.of(at.UNITS):
            if passage.about["stage"] == "mine":
                keys |= passage.about["keys"]
        return [name for name in segments if not {keys[name], keys[name + _NAMES]} <= committed]

    def _ahead_in_claims(self, claims: list[str], committed: set[str]) -> list[str]:
        """Of the claims that a batch judges: those of which no batch is committed."""
        batches: dict[str, set[str]] = {}
        for passage in self._journal.of(at.UNITS):
            if passage.about["stage"] == "flagship":
                for key, names in passage.about["claims"].items():
                    for name in names:
                        batches.setdefault(name, set()).add(key)
        return [name for name in claims if name in batches and not batches[name] & committed]


def _names(checkpoint: JsonObject, field: str) -> list[str]:
    found = checkpoint.get(field, [])
    return [str(item) for item in found] if isinstance(found, list) else []
