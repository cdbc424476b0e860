"""The runs of jobs in SQL: opened, marked, checkpointed, closed."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    Text,
    cast,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from stope.errors import UsageError
from stope.models.job import JobRun, JobStatus, JsonObject, newest_begun
from stope.records.database import Database
from stope.records.schema import job, job_run

log = logging.getLogger(__name__)

_WITH_RESULT = [status.value for status in JobStatus if status.has_result]
_OPEN = [JobStatus.RUNNING.value, JobStatus.PAUSED.value]
_ENDED = [status.value for status in JobStatus if status.finished]

LOST = "Lost"
"""The error code of a run that never said how it ended."""

_COLUMNS = [
    *(column for column in job_run.c if column.name != "checkpoint_json"),
    # As text: a mirror that is no JSON must not hide its run.
    cast(job_run.c.checkpoint_json, Text).label("mirror"),
]


@dataclass(frozen=True)
class Standing:
    """How a run's checkpoint stands to others. ``attempt`` and ``version`` fence its mirror."""

    status: JobStatus
    attempt: int
    version: int
    is_newest: bool


class RunRecords:
    """The table ``job_run``, and what its runs say about their jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_run(self, job_id: str, workflow_id: str) -> JobRun:
        """A new attempt that waits in the queue, numbered after the last."""
        run_id = uuid.uuid4().hex

        def create(link: Connection) -> None:
            _insert_run(link, job_id, run_id, workflow_id, JobStatus.QUEUED, None)

        await self._database.transact_once(create)
        return await self.get_run(run_id)

    async def begin_run(
        self,
        job_id: str,
        temporal_run_id: str,
        workflow_id: str,
        pipeline_run_id: str | None = None,
    ) -> JobRun:
        """Open the attempt that a workflow run makes; doing it again changes nothing.

        It is the oldest one that waits in the queue, else a new one. It keeps to the namespace
        that the job has now, whatever the job is given later.
        """

        def begin(link: Connection) -> str:
            _lock(link, job_id)
            known = link.scalar(
                select(job_run.c.run_id).where(job_run.c.temporal_run_id == temporal_run_id)
            )
            if known is not None:
                return str(known)
            run_id = _adopted(link, job_id, temporal_run_id, workflow_id)
            if run_id is None:
                run_id = temporal_run_id
                _insert_run(link, job_id, run_id, workflow_id, JobStatus.RUNNING, run_id)
            link.execute(
                update(job_run)
                .where(job_run.c.run_id == run_id)
                .values(pipeline_run_id=pipeline_run_id)
            )
            link.execute(
                update(job).where(job.c.id == job_id).values(status=JobStatus.RUNNING.value)
            )
            return run_id

        return await self.get_run(await self._database.transact_once(begin))

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

        def mark(link: Connection) -> None:
            _lock(link, job_id)
            marked = link.execute(
                update(job_run)
                .where(job_run.c.run_id == run_id, job_run.c.status.in_(_OPEN))
                .values(status=status.value, error_code=code, error_message=message)
            )
            if marked.rowcount:
                link.execute(
                    update(job)
                    .where(job.c.id == job_id, job.c.status.in_(_OPEN))
                    .values(status=status.value)
                )

        await self._database.transact_once(mark)

    async def lose_run(self, run_id: str, message: str) -> None:
        """Close an open run whose workflow is gone: an older one of a job that has a newer.

        A finished run stays as it is, and so does the job.
        """
        await self._database.write(
            update(job_run)
            .where(job_run.c.run_id == run_id, job_run.c.status.in_(_OPEN))
            .values(
                status=JobStatus.FAILED.value,
                error_code=LOST,
                error_message=message,
                finished_at=datetime.now(UTC),
            )
        )

    async def get_run(self, run_id: str) -> JobRun:
        """One run.

        Raises:
            UsageError: there is no such run here.
        """
        rows = await self._database.fetch(select(*_COLUMNS).where(job_run.c.run_id == run_id))
        if not rows:
            raise UsageError(f"There is no run {run_id!r} in {self._database.display_url}.")
        return _run_of(rows[0])

    async def runs(self, job_id: str, *, mirrors: bool = True) -> list[JobRun]:
        """All attempts at a job, the first one first; without ``mirrors`` none has a checkpoint."""
        columns = _COLUMNS if mirrors else [*_COLUMNS[:-1], null().label("mirror")]
        query = select(*columns).where(job_run.c.job_id == job_id).order_by(job_run.c.attempt)
        return [_run_of(row) for row in await self._database.fetch(query)]

    async def last_attempt(self, job_id: str) -> int:
        """The number of the last attempt at a job; 0 before there is one."""
        query = select(func.max(job_run.c.attempt)).where(job_run.c.job_id == job_id)
        [row] = await self._database.fetch(query)
        return int(row[0] or 0)

    async def standing(self, run_id: str) -> Standing | None:
        """How a run stands; None where it is not known here."""
        newer = job_run.alias()
        is_older = exists().where(
            newer.c.job_id == job_run.c.job_id,
            newer.c.attempt > job_run.c.attempt,
            newer.c.temporal_run_id.is_not(None),
        )
        rows = await self._database.fetch(
            select(
                job_run.c.status,
                job_run.c.checkpoint_attempt,
                job_run.c.checkpoint_version,
                (~is_older).label("is_newest"),
            ).where(job_run.c.run_id == run_id)
        )
        return next(
            (
                Standing(
                    status=JobStatus(row.status),
                    attempt=row.checkpoint_attempt,
                    version=row.checkpoint_version,
                    is_newest=bool(row.is_newest),
                )
                for row in rows
            ),
            None,
        )

    async def was_redone(self, job_id: str, pipeline_id: str) -> bool:
        """Whether a pipeline has had a stage made afresh in the namespace that its job has now.

        That is since the pipeline itself was: by a run of it in the namespace that it has now.
        """
        stage, pipeline, of_pipeline = job.alias(), job.alias(), job_run.alias()
        query = (
            select(job_run.c.run_id)
            .join(stage, stage.c.id == job_run.c.job_id)
            .join(of_pipeline, of_pipeline.c.run_id == job_run.c.pipeline_run_id)
            .join(pipeline, pipeline.c.id == of_pipeline.c.job_id)
            .where(
                stage.c.id == job_id,
                job_run.c.namespace == stage.c.namespace,
                pipeline.c.id == pipeline_id,
                of_pipeline.c.namespace == pipeline.c.namespace,
            )
            .limit(1)
        )
        return bool(await self._database.fetch(query))

    async def runs_under(self, run_id: str) -> list[JobRun]:
        """The runs of stages that a pipeline's run began."""
        query = select(*_COLUMNS).where(job_run.c.pipeline_run_id == run_id)
        return [_run_of(row) for row in await self._database.fetch(query)]

    async def last_run(self, job_id: str) -> JobRun | None:
        """The newest attempt that was begun; before there is one, the first of those that wait."""
        runs = await self.runs(job_id)
        return newest_begun(runs) or next(iter(runs), None)

    async def finish_run(
        self,
        run_id: str,
        status: JobStatus,
        *,
        result: JsonObject | None = None,
        metrics: JsonObject | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> bool:
        """Close a run, and its job with it. Returns whether the run was closed by this.

        A run that has a result never loses it to a late failure, nor does a job to the late
        failure of an older run. A run that was closed without a result gets none from an attempt
        that comes late, nor does a job that is to be made in another namespace by now, nor, if it
        has gaps, a job that has a newer run's without any. A job that was done again, in vain,
        answers from the result it had. ``metrics`` of None leaves what the run has noted.
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
        else:
            this_run &= job_run.c.status.in_(_OPEN)
            if run.namespace is not None:
                this_job &= job.c.namespace == run.namespace
            if status is JobStatus.SUCCEEDED_WITH_GAPS:
                whole = job_run.alias()
                this_job &= ~exists().where(
                    whole.c.job_id == run.job_id,
                    whole.c.attempt > run.attempt,
                    whole.c.namespace == run.namespace,
                    whole.c.status == JobStatus.SUCCEEDED.value,
                )
        job_values: dict[str, object] = {"status": status.value}
        if result is not None:
            job_values |= {"result_json": result, "result_namespace": run.namespace}
        run_values: dict[str, object] = {
            "status": status.value,
            "error_code": error_code,
            "error_message": error_message,
            "finished_at": datetime.now(UTC),
        }
        if metrics is not None:
            run_values["metrics_json"] = metrics
        if result is not None:
            run_values["result_json"] = result

        def close(link: Connection) -> bool:
            _lock(link, run.job_id)
            if not link.execute(update(job_run).where(this_run).values(**run_values)).rowcount:
                return False
            if keeps_result:
                job_values["status"] = status_without(link, run.job_id, status)
            link.execute(update(job).where(this_job).values(**job_values))
            return True

        closed = await self._database.transact_once(close)
        if not closed:
            log.warning("run %s has ended already; a late %s is ignored", run_id, status.value)
        return closed

    async def note_metrics(self, run_id: str, metrics: JsonObject) -> None:
        """What an attempt at an open run did before it ended without a result."""
        noting = (
            update(job_run)
            .where(job_run.c.run_id == run_id, job_run.c.status.in_(_OPEN))
            .values(metrics_json=metrics)
        )
        # Not insisted on: whoever is about to leave would wait for numbers to look at.
        await self._database.transact_once(lambda link: link.execute(noting))

    async def save_checkpoint(self, run_id: str, body: Mapping[str, object]) -> None:
        """Store somebody's own checkpoint of a run that is not open.

        Raises:
            UsageError: there is no such run, or it is open and mirrors its own.
        """
        saving = (
            update(job_run)
            .where(job_run.c.run_id == run_id, job_run.c.status.not_in(_OPEN))
            .values(checkpoint_json=dict(body))
        )
        if not await self._database.transact_once(lambda link: link.execute(saving).rowcount):
            run = await self.get_run(run_id)
            raise UsageError(
                f"The run {run_id} of {run.job_id} is {run.status.value} and writes its own "
                "checkpoint; save one before the run begins or after it has ended."
            )

    async def write_checkpoint(
        self,
        run_id: str,
        attempt: int,
        version: int,
        body: JsonObject,
        *,
        unless_ended: bool = False,
        durable: bool = True,
    ) -> bool:
        """Store a run's checkpoint if it is newer than what is there.

        ``attempt`` fences: a late writer of an older attempt is refused. So is, ``unless_ended``,
        whoever comes when the run has ended. ``durable``: see ``Database.transact``. Returns
        whether the row was written.
        """
        newer = or_(
            job_run.c.checkpoint_attempt < attempt,
            (job_run.c.checkpoint_attempt == attempt) & (job_run.c.checkpoint_version < version),
        )
        if unless_ended:
            newer &= job_run.c.status.not_in(_ENDED)
        writing = (
            update(job_run)
            .where(job_run.c.run_id == run_id, newer)
            .values(checkpoint_json=body, checkpoint_attempt=attempt, checkpoint_version=version)
        )
        written = await self._database.transact_once(
            lambda link: link.execute(writing).rowcount, durable=durable
        )
        return bool(written)


def _lock(link: Connection, job_id: str) -> None:
    """Nobody else numbers, opens or closes a run of this job before the transaction ends.

    Always first: whoever locks a run before its job can meet somebody who comes the other way.
    """
    link.execute(update(job).where(job.c.id == job_id).values(status=job.c.status))


def _insert_run(
    link: Connection,
    job_id: str,
    run_id: str,
    workflow_id: str,
    status: JobStatus,
    temporal_run_id: str | None,
) -> None:
    _lock(link, job_id)
    last = link.scalar(select(func.max(job_run.c.attempt)).where(job_run.c.job_id == job_id))
    link.execute(
        insert(job_run).values(
            run_id=run_id,
            job_id=job_id,
            attempt=(last or 0) + 1,
            workflow_id=workflow_id,
            temporal_run_id=temporal_run_id,
            namespace=_namespace_of(job_id),
            status=status.value,
            created_at=datetime.now(UTC),
        )
    )


def _adopted(link: Connection, job_id: str, temporal_run_id: str, workflow_id: str) -> str | None:
    """The oldest waiting run of a locked job, now the one of a workflow run; None without one."""
    run_id = link.scalar(
        select(job_run.c.run_id)
        .where(job_run.c.job_id == job_id, job_run.c.status == JobStatus.QUEUED.value)
        .order_by(job_run.c.attempt)
        .limit(1)
    )
    if run_id is None:
        return None
    link.execute(
        update(job_run)
        .where(job_run.c.run_id == run_id)
        .values(
            temporal_run_id=temporal_run_id,
            workflow_id=workflow_id,
            namespace=_namespace_of(job_id),
            status=JobStatus.RUNNING.value,
            # Somebody's own tells nothing of where the run stands.
            checkpoint_json=null(),
            created_at=datetime.now(UTC),
        )
    )
    return str(run_id)


def _namespace_of(job_id: str) -> ScalarSelect[str]:
    return select(job.c.namespace).where(job.c.id == job_id).scalar_subquery()


def status_without(link: Connection, job_id: str, status: JobStatus) -> str:
    """The status of a job whose run ended without a result: that of the result it has, if any."""
    kept = link.scalar(select(job.c.result_json).where(job.c.id == job_id))
    return str(kept["status"]) if isinstance(kept, dict) and "status" in kept else status.value


def _run_of(row: Row[tuple[object, ...]]) -> JobRun:
    return JobRun.model_validate(
        {
            "run_id": row.run_id,
            "job_id": row.job_id,
            "attempt": row.attempt,
            "workflow_id": row.workflow_id,
            "temporal_run_id": row.temporal_run_id,
            "pipeline_run_id": row.pipeline_run_id,
            "namespace": row.namespace,
            "status": row.status,
            "result": row.result_json,
            "checkpoint": object_in(row.mirror),
            "error_code": row.error_code,
            "error_message": row.error_message,
            "metrics": row.metrics_json,
            "created_at": utc(row.created_at),
            "finished_at": row.finished_at and utc(row.finished_at),
        }
    )


def object_in(mirror: str | None) -> JsonObject | None:
    """The checkpoint that a stored text is; None where it is no JSON object."""
    try:
        found = json.loads(mirror or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def utc(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; they were written in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
