"""The runs of jobs in SQL: opened, marked, checkpointed, closed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Row, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stope.errors import UsageError
from stope.models.job import JobRun, JobStatus, JsonObject
from stope.records.database import Database
from stope.records.schema import job, job_run

log = logging.getLogger(__name__)

_WITH_RESULT = [status.value for status in JobStatus if status.has_result]
_OPEN = [JobStatus.RUNNING.value, JobStatus.PAUSED.value]


class RunRecords:
    """The table ``job_run``, and what its runs say about their jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_run(self, job_id: str, workflow_id: str) -> JobRun:
        """A new attempt that waits in the queue, numbered after the last."""
        run_id = uuid.uuid4().hex
        async with self._database.writing() as connection:
            await _insert_run(connection, job_id, run_id, workflow_id, JobStatus.QUEUED, None)
        return await self.get_run(run_id)

    async def begin_run(self, job_id: str, temporal_run_id: str, workflow_id: str) -> JobRun:
        """Open the attempt that a workflow run makes; doing it again changes nothing.

        It is the oldest one that waits in the queue, else a new one.
        """
        async with self._database.writing() as connection:
            await _lock(connection, job_id)
            run_id = await connection.scalar(
                select(job_run.c.run_id).where(job_run.c.temporal_run_id == temporal_run_id)
            )
            if run_id is None:
                run_id = await _adopted(connection, job_id, temporal_run_id, workflow_id)
                if run_id is None:
                    run_id = temporal_run_id
                    await _insert_run(
                        connection, job_id, run_id, workflow_id, JobStatus.RUNNING, run_id
                    )
                await connection.execute(
                    update(job).where(job.c.id == job_id).values(status=JobStatus.RUNNING.value)
                )
        return await self.get_run(run_id)

    async def mark_run(
        self,
        run_id: str,
        status: JobStatus,
        *,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        """An open run, and its job with it, is paused or goes on. A finished one stays finished."""
        job_id = (await self.get_run(run_id)).job_id
        async with self._database.writing() as connection:
            await _lock(connection, job_id)
            marked = await connection.execute(
                update(job_run)
                .where(job_run.c.run_id == run_id, job_run.c.status.in_(_OPEN))
                .values(status=status.value, error_code=code, error_message=message)
            )
            if marked.rowcount:
                await connection.execute(
                    update(job)
                    .where(job.c.id == job_id, job.c.status.in_(_OPEN))
                    .values(status=status.value)
                )

    async def get_run(self, run_id: str) -> JobRun:
        """One run.

        Raises:
            UsageError: there is no such run here.
        """
        async with self._database.reading() as connection:
            row = (
                await connection.execute(select(job_run).where(job_run.c.run_id == run_id))
            ).first()
        if row is None:
            raise UsageError(f"There is no run {run_id!r} in {self._database.display_url}.")
        return _run_of(row)

    async def runs(self, job_id: str) -> list[JobRun]:
        """All attempts at a job, the first one first."""
        query = select(job_run).where(job_run.c.job_id == job_id).order_by(job_run.c.attempt)
        async with self._database.reading() as connection:
            return [_run_of(row) for row in await connection.execute(query)]

    async def runs_under(self, pipeline_id: str, since: datetime) -> list[JobRun]:
        """The runs of a pipeline's stages that began since a moment."""
        query = select(job_run).where(
            job_run.c.workflow_id.startswith(f"{pipeline_id}/", autoescape=True),
            job_run.c.created_at >= since,
        )
        async with self._database.reading() as connection:
            return [_run_of(row) for row in await connection.execute(query)]

    async def last_run(self, job_id: str) -> JobRun | None:
        """The newest attempt that was begun; before there is one, the first of those that wait."""
        runs = await self.runs(job_id)
        begun = [run for run in runs if run.temporal_run_id is not None]
        return begun[-1] if begun else next(iter(runs), None)

    async def finish_run(
        self,
        run_id: str,
        status: JobStatus,
        *,
        result: JsonObject | None = None,
        metrics: JsonObject | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> None:
        """Close a run, and its job with it.

        A run that has a result never loses it to a late failure, nor does a job to the late
        failure of an older run. A job that was done again, in vain, answers from the result it
        had. ``metrics`` of None leaves what the run has noted.
        """
        run = await self.get_run(run_id)
        keeps_result = not status.has_result
        this_run = job_run.c.run_id == run_id
        this_job = job.c.id == run.job_id
        if keeps_result:
            newer = job_run.alias()
            this_run &= job_run.c.status.not_in(_WITH_RESULT)
            this_job &= ~exists().where(
                newer.c.job_id == run.job_id,
                newer.c.attempt > run.attempt,
                newer.c.temporal_run_id.is_not(None),
            )
        job_values: dict[str, object] = {"status": status.value}
        if result is not None:
            job_values["result_json"] = result
        run_values: dict[str, object] = {
            "status": status.value,
            "error_code": error_code,
            "error_message": error_message,
            "finished_at": datetime.now(UTC),
        }
        if metrics is not None:
            run_values["metrics_json"] = metrics
        async with self._database.writing() as connection:
            await _lock(connection, run.job_id)
            closed = await connection.execute(update(job_run).where(this_run).values(**run_values))
            if closed.rowcount and keeps_result:
                job_values["status"] = await status_without(connection, run.job_id, status)
            if closed.rowcount:
                await connection.execute(update(job).where(this_job).values(**job_values))
        if not closed.rowcount:
            log.warning("run %s has its result already; a late %s is ignored", run_id, status)

    async def note_metrics(self, run_id: str, metrics: JsonObject) -> None:
        """What an attempt at an open run did before it ended without a result."""
        await self._database.write(
            update(job_run)
            .where(job_run.c.run_id == run_id, job_run.c.status.in_(_OPEN))
            .values(metrics_json=metrics)
        )

    async def save_checkpoint(self, run_id: str, body: Mapping[str, object]) -> None:
        """Store somebody's own checkpoint of a run that is not open.

        Raises:
            UsageError: there is no such run, or it is open and mirrors its own.
        """
        async with self._database.writing() as connection:
            saved = await connection.execute(
                update(job_run)
                .where(job_run.c.run_id == run_id, job_run.c.status.not_in(_OPEN))
                .values(checkpoint_json=dict(body))
            )
        if not saved.rowcount:
            run = await self.get_run(run_id)
            raise UsageError(
                f"The run {run_id} of {run.job_id} is {run.status.value} and writes its own "
                "checkpoint; save one before the run begins or after it has ended."
            )

    async def write_checkpoint(
        self, run_id: str, attempt: int, version: int, body: JsonObject
    ) -> bool:
        """Store a run's checkpoint if it is newer than what is there.

        ``attempt`` fences: a late writer of an older attempt is refused. Returns whether the row
        was written.
        """
        newer = or_(
            job_run.c.checkpoint_attempt < attempt,
            (job_run.c.checkpoint_attempt == attempt) & (job_run.c.checkpoint_version < version),
        )
        async with self._database.writing() as connection:
            written = await connection.execute(
                update(job_run)
                .where(job_run.c.run_id == run_id, newer)
                .values(
                    checkpoint_json=body, checkpoint_attempt=attempt, checkpoint_version=version
                )
            )
        return bool(written.rowcount)


async def _lock(connection: AsyncConnection, job_id: str) -> None:
    """Nobody else numbers, opens or closes a run of this job before the transaction ends.

    Always first: whoever locks a run before its job can meet somebody who comes the other way.
    """
    await connection.execute(update(job).where(job.c.id == job_id).values(status=job.c.status))


async def _insert_run(
    connection: AsyncConnection,
    job_id: str,
    run_id: str,
    workflow_id: str,
    status: JobStatus,
    temporal_run_id: str | None,
) -> None:
    await _lock(connection, job_id)
    last = await connection.scalar(
        select(func.max(job_run.c.attempt)).where(job_run.c.job_id == job_id)
    )
    await connection.execute(
        insert(job_run).values(
            run_id=run_id,
            job_id=job_id,
            attempt=(last or 0) + 1,
            workflow_id=workflow_id,
            temporal_run_id=temporal_run_id,
            status=status.value,
            created_at=datetime.now(UTC),
        )
    )


async def _adopted(
    connection: AsyncConnection, job_id: str, temporal_run_id: str, workflow_id: str
) -> str | None:
    """The oldest waiting run of a locked job, now the one of a workflow run; None without one."""
    run_id = await connection.scalar(
        select(job_run.c.run_id)
        .where(job_run.c.job_id == job_id, job_run.c.status == JobStatus.QUEUED.value)
        .order_by(job_run.c.attempt)
        .limit(1)
    )
    if run_id is None:
        return None
    await connection.execute(
        update(job_run)
        .where(job_run.c.run_id == run_id)
        .values(
            temporal_run_id=temporal_run_id,
            workflow_id=workflow_id,
            status=JobStatus.RUNNING.value,
            # What its stages did is counted from here.
            created_at=datetime.now(UTC),
        )
    )
    return str(run_id)


async def status_without(connection: AsyncConnection, job_id: str, status: JobStatus) -> str:
    """The status of a job whose run ended without a result: that of the result it has, if any."""
    kept = await connection.scalar(select(job.c.result_json).where(job.c.id == job_id))
    return str(kept["status"]) if isinstance(kept, dict) and "status" in kept else status.value


def _run_of(row: Row[tuple[object, ...]]) -> JobRun:
    checkpoint: Sequence[object] | JsonObject | None = row.checkpoint_json
    return JobRun.model_validate(
        {
            "run_id": row.run_id,
            "job_id": row.job_id,
            "attempt": row.attempt,
            "workflow_id": row.workflow_id,
            "temporal_run_id": row.temporal_run_id,
            "status": row.status,
            "checkpoint": checkpoint,
            "error_code": row.error_code,
            "error_message": row.error_message,
            "metrics": row.metrics_json,
            "created_at": utc(row.created_at),
            "finished_at": row.finished_at and utc(row.finished_at),
        }
    )


def utc(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; they were written in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
