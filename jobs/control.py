"""Jobs at work: started, joined, waited for, ended."""

from __future__ import annotations

import asyncio
import uuid

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from jobs.session import JobSession
from search_attributes import register_search_attributes
from stope import names
from stope.errors import UsageError
from stope.models.job import Job, JsonObject
from stope.models.messages import JobRequest, RunOptions, StageDone
from workflows.attributes import start_attributes
from workflows.labels import source_label, static_details, title

_CLOSE_SECONDS = 5.0
"""How long a finished run may take to close while a worker is there."""


class JobControl(JobSession):
    """Starts jobs and ends them."""

    async def start_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
    ) -> Job:
        """Start a job, or join it where it runs. A job with a result is left alone.

        Args:
            job_id: which.
            resume_from_checkpoint: False gives it a namespace of its own: nothing old is read.
            max_workers: LLM calls in flight.

        Raises:
            UsageError: it is to start afresh while it runs.
            ServerUnavailableError: Temporal does not answer.
        """
        job = await self._jobs.get(job_id)
        if resume_from_checkpoint and job.status.has_result and job.result is not None:
            return job
        temporal = await self.temporal()
        if not resume_from_checkpoint:
            if await self._is_open(temporal, job_id):
                raise UsageError(
                    f"The job {job_id} is running; `stope cancel {job_id}` ends it before it can "
                    "start afresh."
                )
            await self._jobs.set_namespace(job_id, uuid.uuid4().hex)
        if self._has_search_attributes is None:
            self._has_search_attributes = await register_search_attributes(temporal)
        label = source_label(job.input)
        await self._let_close(temporal, job_id)
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE[job.type.value],
            JobRequest(
                job_id=job_id,
                options=RunOptions(
                    max_workers=max_workers,
                    heartbeat_timeout=self.settings.heartbeat_timeout,
                    search_attributes=self._has_search_attributes,
                ),
                source=label,
            ),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
            result_type=StageDone,
            # The records say whether a job is finished; Temporal says whether it is running.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=(
                start_attributes(job.type, label) if self._has_search_attributes else None
            ),
            static_summary=title(job.type, label, job.input.kind),
            static_details=static_details(job.id, label),
        )
        # Until the new run is opened the records say how the last one ended.
        await self._jobs.requeue(job_id, handle.first_execution_run_id or "")
        return await self._jobs.get(job_id)

    async def process_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
    ) -> JsonObject:
        """Start or join a job, wait for it, and return its final result.

        Raises:
            JobFailedError: it failed or was cancelled.
        """
        job = await self.start_job(
            job_id, resume_from_checkpoint=resume_from_checkpoint, max_workers=max_workers
        )
        if job.status.has_result and job.result is not None:
            return job.result
        return await self.wait(job_id)

    async def wait(self, job_id: str) -> JsonObject:
        """Wait for a started job and return its final result.

        Raises:
            JobFailedError: it failed or was cancelled.
        """
        handle: WorkflowHandle[object, StageDone] = (await self.temporal()).get_workflow_handle(
            job_id, result_type=StageDone
        )
        while True:
            try:
                await handle.result()
                break
            except WorkflowFailureError:
                break
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    break
                # The server is restarting: the job goes on when it is back, and so do we.
                await asyncio.sleep(0.5)
        return await self.result(job_id)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop. Units in flight are committed; it can be processed again.

        Raises:
            UsageError: it does not run.
        """
        temporal = await self.temporal()
        run = await self._jobs.last_run(job_id)
        workflow_id = run.workflow_id if run else job_id
        if not await self._is_open(temporal, workflow_id):
            raise UsageError(f"The job {job_id} does not run, so there is nothing to cancel.")
        await temporal.get_workflow_handle(workflow_id).cancel()

    async def _let_close(self, temporal: Client, job_id: str) -> None:
        """Wait until the last run, finished in the records, is so for Temporal: it is not joined.

        One that no worker closes is ended; its result is recorded.
        """
        run = await self._jobs.last_run(job_id)
        if run is None or not run.status.finished:
            return
        deadline = asyncio.get_running_loop().time() + _CLOSE_SECONDS
        while await self._is_open(temporal, run.workflow_id, run.temporal_run_id):
            if asyncio.get_running_loop().time() > deadline:
                await temporal.get_workflow_handle(run.workflow_id, run_id=run.temporal_run_id).terminate(
                    "its run is finished, and no worker is there to close it"
                )
                return
            await asyncio.sleep(0.1)
