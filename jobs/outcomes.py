"""How jobs end, for somebody who waits for that."""

from __future__ import annotations

import asyncio

from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from jobs.session import JobFailedError, JobPausedError, comes_back
from jobs.signals import JobSignals
from stope.errors import ServerUnavailableError
from stope.models.job import JobStatus, JsonObject
from stope.models.messages import StageDone

_FAILED, _CANCELLED = JobStatus.FAILED, JobStatus.CANCELLED

_LOOK_SECONDS = 0.5
"""How often somebody who waits for a job looks whether it is paused."""


class JobOutcomes(JobSignals):
    """Waits for jobs."""

    async def wait(self, job_id: str) -> JsonObject:
        """Wait for a started job and return its final result.

        Raises:
            JobFailedError: it failed or was cancelled.
            JobPausedError: it waits for a person.
        """
        handle: WorkflowHandle[object, StageDone] = (await self.temporal()).get_workflow_handle(
            await self._workflow_id(job_id), result_type=StageDone
        )
        closing = asyncio.create_task(_closed_well(handle))
        try:
            while not closing.done():
                await self._say_if_paused(job_id)
                await asyncio.wait({closing}, timeout=_LOOK_SECONDS)
            ended_well = await closing
        finally:
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        run = await self._jobs.last_run(job_id)
        if not ended_well and run is not None and run.status in (_FAILED, _CANCELLED):
            # The job may have the result of an earlier run: this one gave none.
            message = run.error_message or f"The job {job_id} failed."
            raise JobFailedError(job_id, run.status, message)
        return await self.result(job_id)

    async def _say_if_paused(self, job_id: str) -> None:
        job = await self._jobs.get(job_id)
        if job.status is JobStatus.PAUSED:
            run = await self._jobs.last_run(job_id)
            message = (run.error_message if run else None) or f"The job {job_id} is paused."
            raise JobPausedError(job_id, message)


async def _closed_well(handle: WorkflowHandle[object, StageDone]) -> bool:
    """Wait until a workflow has closed; whether with a result. A server that is away comes back.

    Raises:
        ServerUnavailableError: it is there, and does not answer us.
    """
    while True:
        try:
            await handle.result()
        except WorkflowFailureError:
            return False
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            if not comes_back(error):
                raise ServerUnavailableError(
                    f"Temporal does not answer: {error.message}"
                ) from error
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return True
