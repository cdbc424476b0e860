"""Jobs and their runs in SQL."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, exists, func, select, update

from stope.errors import StopeError, UsageError
from stope.models.checkpoint import Checkpoint
from stope.models.job import Job, JobConfig, JobInput, JobOptions, JobStatus, JobType
from stope.records.runs import RunRecords, status_without, utc
from stope.records.schema import job, job_run

log = logging.getLogger(__name__)

_FINISHED = [status.value for status in JobStatus if status.finished]
_WITHOUT_RESULT = [
    status.value for status in JobStatus if status.finished and not status.has_result
]


class JobRecords(RunRecords):
    """The tables ``job`` and ``job_run``."""

    async def create(self, new: Job) -> Job:
        """Store a job, or return the one that is there: the id is the request."""
        row = {
            "id": new.id,
            "type": new.type.value,
            "input_json": new.input.model_dump(mode="json"),
            "config_json": new.config.model_dump(mode="json"),
            "namespace": new.namespace,
            "parent_id": new.parent_id,
            "options_json": new.options.model_dump(mode="json"),
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
        rows = await self._database.fetch(select(job).where(job.c.id == job_id))
        if not rows:
            raise UsageError(
                f"There is no job {job_id!r} in {self._database.display_url}; `stope jobs` lists "
                "those that are there."
            )
        return _job_of(rows[0])

    async def matching(self, prefix: str) -> list[str]:
        """Ids of the jobs that begin with a text, at most ten."""
        query = select(job.c.id).where(job.c.id.startswith(prefix, autoescape=True)).limit(10)
        return [str(row.id) for row in await self._database.fetch(query)]

    async def newest(self, limit: int) -> list[Job]:
        """Jobs, the newest first."""
        query = select(job).order_by(job.c.created_at.desc(), job.c.id).limit(limit)
        return [_job_of(row) for row in await self._database.fetch(query)]

    async def children(self, parent_id: str) -> list[Job]:
        """The stage jobs that a pipeline started, in the order it started them."""
        query = select(job).where(job.c.parent_id == parent_id).order_by(job.c.created_at)
        return [_job_of(row) for row in await self._database.fetch(query)]

    async def of_type(self, job_type: JobType) -> list[Job]:
        """All jobs of a type, by id."""
        query = select(job).where(job.c.type == job_type.value).order_by(job.c.id)
        return [_job_of(row) for row in await self._database.fetch(query)]

    async def set_namespace(self, job_id: str, namespace: str) -> None:
        """Give a job a namespace of its own for units: nothing old is read any more.

        The result it has stands until there is another.
        """
        await self._database.write(
            update(job)
            .where(job.c.id == job_id)
            .values(
                namespace=namespace,
                status=JobStatus.QUEUED.value,
                result_namespace=func.coalesce(job.c.result_namespace, job.c.namespace),
            )
        )

    async def set_input(self, job_id: str, source: JobInput) -> None:
        """Say where a job's input is now."""
        await self._database.write(
            update(job).where(job.c.id == job_id).values(input_json=source.model_dump(mode="json"))
        )

    async def set_config(self, job_id: str, config: JobConfig) -> None:
        """Change what is no part of a job's id: what the stages after it are to do."""
        await self._database.write(
            update(job).where(job.c.id == job_id).values(config_json=config.model_dump(mode="json"))
        )

    async def set_options(self, job_id: str, options: JobOptions) -> None:
        """Say how a job is worked on from now on."""
        await self._database.write(
            update(job)
            .where(job.c.id == job_id)
            .values(options_json=options.model_dump(mode="json"))
        )

    async def requeue(
        self, job_id: str, run_id: str, *, again: bool = False, lost: bool = False
    ) -> None:
        """A job that ended without a result waits for a new run, unless that has begun.

        ``again``: so does one with a result, which is kept until there is another. ``lost``: so
        does one whose paused run nobody can let go on.
        """
        begun = exists().where(job_run.c.temporal_run_id == run_id)
        ended = _FINISHED if again else _WITHOUT_RESULT
        if lost:
            ended = [*ended, JobStatus.PAUSED.value]
        await self._database.write(
            update(job)
            .where(job.c.id == job_id, job.c.status.in_(ended), ~begun)
            .values(status=JobStatus.QUEUED.value)
        )

    async def give_up(self, job_id: str, run_id: str | None) -> None:
        """A job is cancelled whose run nobody has begun; one that was begun says so itself."""
        begun = exists().where(job_run.c.temporal_run_id == run_id)

        def give_up(link: Connection) -> None:
            status = status_without(link, job_id, JobStatus.CANCELLED)
            link.execute(
                update(job)
                .where(job.c.id == job_id, job.c.status == JobStatus.QUEUED.value, ~begun)
                .values(status=status)
            )

        await self._database.transact_once(give_up)


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
        options=JobOptions.model_validate(row.options_json or {}),
        status=JobStatus(row.status),
        result=row.result_json,
        result_namespace=row.result_namespace,
        created_at=utc(row.created_at),
    )
