"""What every part of the client stands on: settings, records, and a Temporal client when needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from jobs.connection import connect_temporal
from stope.artifacts import ArtifactStore
from stope.errors import ServerUnavailableError, StopeError, UsageError
from stope.models.job import Job, JobRun, JobStatus, JsonObject
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.sources import SourceDigests
from stope.records.speakers import SpeakerNames
from stope.settings import Settings, load_settings

_FOR_GOOD = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.UNIMPLEMENTED,
)
"""What a server says that has understood us. Whatever else there is can be one that restarts: a
broken connection has many names."""


def comes_back(error: RPCError) -> bool:
    """Whether a server that answered like this may answer better soon."""
    return error.status not in _FOR_GOOD


@contextmanager
def answering(gone: str | None = None) -> Iterator[None]:
    """Temporal's own errors, as ours.

    Args:
        gone: the sentence for a workflow that is not open, where there must be one.

    Raises:
        UsageError: there is no such workflow any more.
        ServerUnavailableError: Temporal does not answer, or not us.
    """
    try:
        yield
    except RPCError as error:
        if gone is not None and error.status is RPCStatusCode.NOT_FOUND:
            raise UsageError(gone) from error
        raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error


class JobFailedError(StopeError):
    """A job ended without a result. ``str(error)`` is its run's own sentence."""

    def __init__(self, job_id: str, status: JobStatus, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status


class JobPausedError(StopeError):
    """A job waits for a person. ``str(error)`` says why, in its run's own sentence."""

    def __init__(self, job_id: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobSession:
    """One person's view of the jobs of one home, or of one cluster.

    Args:
        settings: default: from the environment.
        temporal: an open Temporal client; default: connected when first needed.
    """

    def __init__(self, settings: Settings | None = None, temporal: Client | None = None) -> None:
        self.settings = settings or load_settings()
        self._temporal = temporal
        self._has_search_attributes: bool | None = None
        self._ready = False
        self._database = Database(self.settings.records_url)
        self._jobs = JobRecords(self._database)
        self._sources = SourceDigests(self._database)
        self._names = SpeakerNames(self._database)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def open(self) -> None:
        """Bring the records up to date; ``async with`` and every beginning of a job do it."""
        if not self._ready:
            await self._database.migrate()
            self._ready = True

    async def close(self) -> None:
        """Let go of the records."""
        await self._database.close()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.settings.artifact_store_url, records=self._sources)

    async def temporal(self) -> Client:
        """The Temporal client, connected on first use."""
        if self._temporal is None:
            self._temporal = await connect_temporal(self.settings)
        return self._temporal

    async def job(self, job_id: str) -> Job:
        """One job, by its id or by the unambiguous beginning of it."""
        matches = await self._jobs.matching(job_id)
        if len(matches) > 1 and job_id not in matches:
            raise UsageError(f"{job_id!r} could be any of {', '.join(matches)}; write more of it.")
        return await self._jobs.get(matches[0] if len(matches) == 1 else job_id)

    async def jobs(self, limit: int = 100) -> list[Job]:
        """Jobs, the newest first."""
        return await self._jobs.newest(limit)

    async def runs(self, job_id: str) -> list[JobRun]:
        """All attempts at a job."""
        return await self._jobs.runs(job_id)

    async def stage_jobs(self, job_id: str) -> list[Job]:
        """The stage jobs that a pipeline was the first to start."""
        return await self._jobs.children(job_id)

    async def checkpoint(self, job_id: str) -> JsonObject | None:
        """The mirrored checkpoint of a job's newest run; None before it has one."""
        run = await self._jobs.last_run(job_id)
        return run.checkpoint if run else None

    async def result(self, job_id: str) -> JsonObject:
        """The final result of a finished job.

        Raises:
            JobFailedError: it failed or was cancelled.
            UsageError: it has not finished.
        """
        job = await self._jobs.get(job_id)
        if job.status.has_result and job.result is not None:
            return job.result
        if not job.status.finished:
            raise UsageError(
                f"The job {job_id} is {job.status.value}; `stope watch {job_id}` shows where it "
                "stands."
            )
        run = await self._jobs.last_run(job_id)
        message = (run.error_message if run else None) or f"The job {job_id} failed."
        raise JobFailedError(job_id, job.status, message)

    async def _is_open(self, temporal: Client, job_id: str, run_id: str | None = None) -> bool:
        try:
            description = await temporal.get_workflow_handle(job_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error
        return description.status is WorkflowExecutionStatus.RUNNING
