"""Jobs and their runs in SQL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Row, exists, func, insert, or_, select, update

from stope.errors import StopeError, UsageError
from stope.models.checkpoint import Checkpoint
from stope.models.job import Job, JobConfig, JobInput, JobRun, JobStatus, JobType, JsonObject
from stope.records.database import Database
from stope.records.schema import job, job_run

log = logging.getLogger(__name__)

_WITH_RESULT = [status.value for status in JobStatus if status.has_result]
_WITHOUT_RESULT = [
    status.value for status in JobStatus if status.finished and not status.has_result
]


class JobRecords:
    """The tables ``job`` and ``job_run``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: Job) -> Job:
        """Store a job, or return the one that is there: the id is the request."""
        row = {
            "id": new.id,
            "type": new.type.value,
            "input_json": new.input.model_dump(mode="json"),
            "config_json": new.config.model_dump(mode="json"),
            "namespace": new.namespace,
            "parent_id": new.parent_id,
            "status": new.status.value,
            "result_json": new.result,
            "created_at": new.created_at,
        }
        await self._database.insert_new(job, [row])
        return await self.get(new.id)

    async def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            UsageError: there is no such job here.
        """
        async with self._database.reading() as connection:
            row = (await connection.execute(select(job).where(job.c.id == job_id))).first()
        if row is None:
            raise UsageError(
                f"There is no job {job_id!r} in {self._database.display_url}; `stope jobs` lists "
                "those that are there."
            )
        return _job_of(row)

    async def matching(self, prefix: str) -> list[str]:
        """Ids of the jobs that begin with a text, at most ten."""
        query = select(job.c.id).where(job.c.id.startswith(prefix, autoescape=True)).limit(10)
        async with self._database.reading() as connection:
            return [str(row.id) for row in await connection.execute(query)]

    async def newest(self, limit: int) -> list[Job]:
        """Jobs, the newest first."""
        query = select(job).order_by(job.c.created_at.desc(), job.c.id).limit(limit)
        async with self._database.reading() as connection:
            return [_job_of(row) for row in await connection.execute(query)]

    async def children(self, parent_id: str) -> list[Job]:
        """The stage jobs that a pipeline started, in the order it started them."""
        query = select(job).where(job.c.parent_id == parent_id).order_by(job.c.created_at)
        async with self._database.reading() as connection:
            return [_job_of(row) for row in await connection.execute(query)]

    async def set_namespace(self, job_id: str, namespace: str) -> None:
        """Give a job a namespace of its own for units: nothing old is read any more."""
        await self._database.write(
            update(job)
            .where(job.c.id == job_id)
            .values(namespace=namespace, status=JobStatus.QUEUED.value, result_json=None)
        )

    async def set_input(self, job_id: str, source: JobInput) -> None:
        """Say where a job's input is now."""
        await self._database.write(
            update(job).where(job.c.id == job_id).values(input_json=source.model_dump(mode="json"))
        )

    async def requeue(self, job_id: str, run_id: str) -> None:
        """A job that ended without a result waits for a new run, unless that has begun."""
        begun = exists().where(job_run.c.run_id == run_id)
        await self._database.write(
            update(job)
            .where(job.c.id == job_id, job.c.status.in_(_WITHOUT_RESULT), ~begun)
            .values(status=JobStatus.QUEUED.value)
        )

    async def begin_run(self, job_id: str, run_id: str, workflow_id: str) -> JobRun:
        """Open an attempt, numbered after the last. Doing it again for a run id changes nothing."""
        async with self._database.writing() as connection:
            # Locks the job first, so that two runs of it cannot draw the same number.
            await connection.execute(
                update(job).where(job.c.id == job_id).values(status=job.c.status)
            )
            known = await connection.scalar(
                select(job_run.c.run_id).where(job_run.c.run_id == run_id)
            )
            if known is None:
                last = await connection.scalar(
                    select(func.max(job_run.c.attempt)).where(job_run.c.job_id == job_id)
                )
                await connection.execute(
                    insert(job_run).values(
                        run_id=run_id,
                        job_id=job_id,
                        attempt=(last or 0) + 1,
                        workflow_id=workflow_id,
                        temporal_run_id=run_id,
                        status=JobStatus.RUNNING.value,
                        created_at=datetime.now(UTC),
                    )
                )
                await connection.execute(
                    update(job).where(job.c.id == job_id).values(status=JobStatus.RUNNING.value)
                )
        return await self.get_run(run_id)

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
        """The newest attempt at a job."""
        runs = await self.runs(job_id)
        return runs[-1] if runs else None

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
        failure of an older run.
        """
        run = await self.get_run(run_id)
        keeps_result = not status.has_result
        this_run = job_run.c.run_id == run_id
        this_job = job.c.id == run.job_id
        if keeps_result:
            newer = job_run.alias()
            this_run &= job_run.c.status.not_in(_WITH_RESULT)
            this_job &= ~exists().where(newer.c.job_id == run.job_id, newer.c.attempt > run.attempt)
        job_values: dict[str, object] = {"status": status.value}
        if result is not None:
            job_values["result_json"] = result
        async with self._database.writing() as connection:
            closed = await connection.execute(
                update(job_run)
                .where(this_run)
                .values(
                    status=status.value,
                    metrics_json=metrics,
                    error_code=error_code,
                    error_message=error_message,
                    finished_at=datetime.now(UTC),
                )
            )
            if closed.rowcount:
                await connection.execute(update(job).where(this_job).values(**job_values))
        if not closed.rowcount:
            log.warning("run %s has its result already; a late %s is ignored", run_id, status)

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


class CheckpointMirror:
    """Writes one run's checkpoint. A failed write is logged and never stops work."""

    def __init__(self, jobs: JobRecords, run_id: str, attempt: int, version: int) -> None:
        self._jobs = jobs
        self._run_id = run_id
        self._attempt = attempt
        self._version = version

    async def write(self, checkpoint: Checkpoint) -> None:
        """Stamp and store the checkpoint as it is now."""
        self._version += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        meta = checkpoint.stope
        meta.version, meta.attempt, meta.updated_at = self._version, self._attempt, now
        meta.started_at = meta.started_at or now
        try:
            await self._jobs.write_checkpoint(
                self._run_id, self._attempt, self._version, checkpoint.model_dump(mode="json")
            )
        except StopeError as error:
            log.warning("the checkpoint of run %s was not mirrored: %s", self._run_id, error)


def _job_of(row: Row[tuple[object, ...]]) -> Job:
    return Job(
        id=row.id,
        type=JobType(row.type),
        input=JobInput.model_validate(row.input_json),
        config=JobConfig.model_validate(row.config_json),
        namespace=row.namespace,
        parent_id=row.parent_id,
        status=JobStatus(row.status),
        result=row.result_json,
        created_at=_utc(row.created_at),
    )


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
            "created_at": _utc(row.created_at),
            "finished_at": row.finished_at and _utc(row.finished_at),
        }
    )


def _utc(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; they were written in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
