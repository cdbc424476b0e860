"""Mirrors as they lie in the records, also those that no reader of runs can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, Text, cast, func, select, update

from stope.models.job import JobRun, JsonObject, newest_begun
from stope.records.database import Database
from stope.records.runs import object_in, utc
from stope.records.schema import claim, evidence, job_run, verdict


@dataclass(frozen=True)
class StoredMirror:
    """A run without its checkpoint, and that checkpoint as text, with the columns that fence it."""

    run: JobRun
    text: str | None
    attempt: int
    version: int

    @property
    def body(self) -> JsonObject | None:
        """The checkpoint; None where there is none, or no object."""
        return object_in(self.text)


class Mirrors:
    """The checkpoints of the table ``job_run``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_job(self, job_id: str) -> list[StoredMirror]:
        """The mirrors of all runs of a job, the first run first."""
        columns = [column for column in job_run.c if column.name != "checkpoint_json"]
        query = (
            select(*columns, cast(job_run.c.checkpoint_json, Text).label("mirror"))
            .where(job_run.c.job_id == job_id)
            .order_by(job_run.c.attempt)
        )
        return [_mirror_of(row) for row in await self._database.fetch(query)]

    async def newest(self, job_id: str) -> StoredMirror | None:
        """That of the newest run that was begun, else of the first that waits."""
        found = await self.of_job(job_id)
        begun = newest_begun([mirror.run for mirror in found])
        of_begun = (mirror for mirror in found if mirror.run is begun)
        return next(of_begun, next(iter(found), None))

    async def replace(self, old: StoredMirror, version: int, body: JsonObject) -> bool:
        """Write a checkpoint of a higher version in the place of an old one.

        Returns False, and writes nothing, if somebody wrote one in the meantime.
        """
        written = (
            update(job_run)
            .where(
                job_run.c.run_id == old.run.run_id,
                job_run.c.checkpoint_attempt == old.attempt,
                job_run.c.checkpoint_version == old.version,
            )
            .values(checkpoint_json=body, checkpoint_version=version)
        )
        return bool(
            await self._database.transact(lambda connection: connection.execute(written).rowcount)
        )

    async def rows_of(self, output_id: str) -> dict[str, int]:
        """How many rows a result has, by table."""
        return {
            table.name: int(
                (
                    await self._database.fetch(
                        select(func.count())
                        .select_from(table)
                        .where(table.c.output_id == output_id)
                    )
                )[0][0]
            )
            for table in (claim, evidence, verdict)
        }


def _mirror_of(row: Row[Sequence[object]]) -> StoredMirror:
    run = JobRun(
        run_id=row.run_id,
        job_id=row.job_id,
        attempt=row.attempt,
        workflow_id=row.workflow_id,
        temporal_run_id=row.temporal_run_id,
        status=row.status,
        error_code=row.error_code,
        error_message=row.error_message,
        metrics=row.metrics_json,
        created_at=utc(row.created_at),
        finished_at=row.finished_at and utc(row.finished_at),
    )
    return StoredMirror(run, row.mirror, row.checkpoint_attempt, row.checkpoint_version)
