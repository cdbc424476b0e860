"""Jobs at work: started, joined, waited for."""

from __future__ import annotations

import asyncio
import uuid

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from jobs.session import JobFailedError, JobPausedError
from jobs.signals import JobSignals
from search_attributes import register_search_attributes
from stope import names
from stope.errors import UsageError
from stope.following import open_following
from stope.models.job import Job, JobOptions, JobStatus, JobType, JsonObject
from stope.models.messages import JobRequest, RunOptions, StageDone
from stope.money.prices import models_of, require_prices
from workflows.attributes import start_attributes
from workflows.labels import source_label, static_details, title
from workflows.policies import task_timeout

_FAILED, _CANCELLED = JobStatus.FAILED, JobStatus.CANCELLED

_CLOSE_SECONDS = 5.0
"""How long a finished run may take to close while a worker is there."""

_LOOK_SECONDS = 0.5
"""How often somebody who waits for a job looks whether it is paused."""


class JobControl(JobSignals):
    """Starts jobs and waits for them."""

    async def start_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
        max_usd: float | None = None,
        max_tokens: int | None = None,
        chain: bool | None = None,
    ) -> Job:
        """Start a job, or join it where it runs. A job with a result is left alone.

        What is given here is kept with the job: a later start without it does the same.

        Args:
            job_id: which.
            resume_from_checkpoint: False gives it a namespace of its own: nothing old is read.
            max_workers: LLM calls in flight.
            max_usd: pause before spending more than this.
            max_tokens: pause before using more than this.
            chain: with its result, start the next stage, and so on to the last.

        Raises:
            UsageError: it is to start afresh while it runs, or it has a limit of money and a
                model whose price is not known.
            ServerUnavailableError: Temporal does not answer.
        """
        await self.open()
        asked = await self._jobs.get(job_id)
        if max_usd is not None:
            await asyncio.to_thread(require_prices, models_of(asked), self.settings)
        job = await self._with_options(
            asked,
            max_workers=max_workers,
            max_usd=max_usd,
            max_tokens=max_tokens,
            chain=chain,
        )
        if resume_from_checkpoint and job.status.has_result and job.result is not None:
            if chain and job.type is not JobType.PIPELINE:
                following = await open_following(self._jobs, job, self._artifacts().uri)
                if following is not None:
                    await self._start(following)
            return job
        if not resume_from_checkpoint:
            await self._must_not_run(job_id, "start afresh")
            await self._jobs.set_namespace(job_id, uuid.uuid4().hex)
            options = job.options.model_copy(update={"redo_from": None, "redo_namespace": ""})
            await self._jobs.set_options(job_id, options)
            job = await self._jobs.get(job_id)
        return await self._start(job)

    async def _start(self, job: Job, *, again: bool = False, retry_gaps: bool = False) -> Job:
        """Start a job's workflow, or join the one that works on it.

        ``again``: it has a result, and answers from it until there is another.
        """
        temporal = await self.temporal()
        if await self._workflow_id(job.id) != job.id:
            # A pipeline works on it.
            return job
        is_lost = job.status is JobStatus.PAUSED and not await self._is_open(temporal, job.id)
        if self._has_search_attributes is None:
            self._has_search_attributes = await register_search_attributes(temporal)
        label = source_label(job.input)
        await self._let_close(temporal, job.id)
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE[job.type.value],
            JobRequest(
                job_id=job.id,
                options=RunOptions(
                    **job.options.model_dump(),
                    heartbeat_timeout=self.settings.heartbeat_timeout,
                    search_attributes=self._has_search_attributes,
                    retry_gaps=retry_gaps,
                ),
                source=label,
            ),
            id=job.id,
            task_queue=names.ORCHESTRATION_QUEUE,
            result_type=StageDone,
            # The records say whether a job is finished; Temporal says whether it is running.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=task_timeout(self.settings.heartbeat_timeout),
            search_attributes=(
                start_attributes(job.type, label) if self._has_search_attributes else None
            ),
            static_summary=title(job.type, label, job.input.kind),
            static_details=static_details(job.id, label),
        )
        # Until the new run is opened the records say how the last one ended.
        await self._jobs.requeue(
            job.id, handle.first_execution_run_id or "", again=again, lost=is_lost
        )
        return await self._jobs.get(job.id)

    async def process_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
        max_usd: float | None = None,
        max_tokens: int | None = None,
    ) -> JsonObject:
        """Start or join a job, wait for it, and return its final result.

        The job runs in its workers, not in here: when this is interrupted or cancelled it goes on,
        and the next call joins it.

        Raises:
            JobFailedError: it failed or was cancelled.
            JobPausedError: it waits for a person.
        """
        job = await self.start_job(
            job_id,
            resume_from_checkpoint=resume_from_checkpoint,
            max_workers=max_workers,
            max_usd=max_usd,
            max_tokens=max_tokens,
        )
        if job.status.has_result and job.result is not None:
            return job.result
        return await self.wait(job_id)

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

    async def _with_options(self, job: Job, **given: object) -> Job:
        """The job with new options; None leaves one as it is."""
        changed = {name: value for name, value in given.items() if value is not None}
        options = JobOptions.model_validate(job.options.model_dump() | changed)
        if options != job.options:
            await self._jobs.set_options(job.id, options)
        return await self._jobs.get(job.id)

    async def _must_not_run(self, job_id: str, what: str) -> None:
        workflow_id = await self._workflow_id(job_id)
        run = await self._jobs.last_run(job_id)
        if run is not None and run.status.finished:
            await self._let_close(await self.temporal(), job_id)
        if await self._is_open(await self.temporal(), workflow_id):
            raise UsageError(
                f"The job {job_id} is running; `stope cancel {job_id}` ends it before it can "
                f"{what}."
            )

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
                await temporal.get_workflow_handle(
                    run.workflow_id, run_id=run.temporal_run_id
                ).terminate("its run is finished, and no worker is there to close it")
                return
            await asyncio.sleep(0.1)


async def _closed_well(handle: WorkflowHandle[object, StageDone]) -> bool:
    """Wait until a workflow has closed; whether with a result. A server that is away comes back."""
    while True:
        try:
            await handle.result()
        except WorkflowFailureError:
            return False
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return True
