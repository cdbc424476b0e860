"""Jobs at work: started, joined."""

from __future__ import annotations

import asyncio
import uuid

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from jobs.outcomes import JobOutcomes
from jobs.session import answering
from search_attributes import register_search_attributes
from stope import names
from stope.errors import UsageError
from stope.following import open_following
from stope.models.job import Job, JobOptions, JobRun, JobStatus, JobType, JsonObject
from stope.models.messages import Changes, JobRequest, RunOptions, StageDone
from workflows.attributes import start_attributes
from workflows.labels import source_label, static_details, title
from workflows.pausing import BUDGET_REACHED
from workflows.policies import task_timeout

_CLOSE_SECONDS = 5.0
"""How long a finished run may take to close while a worker is there."""


class JobControl(JobOutcomes):
    """Starts jobs."""

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

        What is given here is kept with the job: a later start without it does the same, and one
        that runs goes on with it. One that waits at a limit goes on with a new one; without, and
        where a person paused it, it waits.

        Args:
            job_id: which.
            resume_from_checkpoint: False gives it a namespace of its own: nothing old is read.
            max_workers: LLM calls in flight.
            max_usd: pause before spending more than this.
            max_tokens: pause before using more than this.
            chain: with its result, start the next stage, and so on to the last. All of them
                together keep to the limits.

        Raises:
            UsageError: it is to start afresh while it runs, or to chain while a pipeline works
                on it; or it has a limit of money and a model whose price is not known.
            ServerUnavailableError: Temporal does not answer.
        """
        await self.open()
        if chain and (workflow_id := await self._workflow_id(job_id)) != job_id:
            raise UsageError(
                f"The job {job_id} is a stage of {workflow_id.partition('/')[0]} just now, which "
                "goes on with its own next stage; chain it when that has ended."
            )
        job = await self._with_options(
            await self._jobs.get(job_id),
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
        has_limit = max_usd is not None or max_tokens is not None
        if resume_from_checkpoint and has_limit and await self._waits_at_limit(job):
            await self.unpause(job.id, max_usd=max_usd, max_tokens=max_tokens)
            return await self._jobs.get(job.id)
        if resume_from_checkpoint:
            await self._change(
                job,
                Changes(
                    max_workers=max_workers, max_usd=max_usd, max_tokens=max_tokens, chain=chain
                ),
            )
        else:
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
        await self._let_close(temporal, job)
        with answering():
            run_id = await self._start_workflow(temporal, job, retry_gaps=retry_gaps)
        # Until the new run is opened the records say how the last one ended.
        await self._jobs.requeue(job.id, run_id, again=again, lost=is_lost)
        return await self._jobs.get(job.id)

    async def _start_workflow(self, temporal: Client, job: Job, *, retry_gaps: bool) -> str:
        """The id of the workflow run that works on a job from now on."""
        if self._has_search_attributes is None:
            self._has_search_attributes = await register_search_attributes(temporal)
        label = source_label(job.input)
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
                start_attributes(job.kind, label) if self._has_search_attributes else None
            ),
            static_summary=title(job.type, label, job.input.kind, job.kind),
            static_details=static_details(job.id, label),
        )
        return handle.first_execution_run_id or ""

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

    async def _waits_at_limit(self, job: Job) -> bool:
        """Whether a new limit lets it go on."""
        if job.status is not JobStatus.PAUSED:
            return False
        run = await self._jobs.last_run(job.id)
        at_limit = run is not None and run.error_code == BUDGET_REACHED
        return at_limit and await self._workflow_id_if_open(job) is not None

    async def _with_options(self, job: Job, **given: object) -> Job:
        """The job with new options; None leaves one as it is.

        Raises:
            UsageError: it is to have a limit of money, and a model's price is not known.
        """
        changed = {name: value for name, value in given.items() if value is not None}
        options = JobOptions.model_validate(job.options.model_dump() | changed)
        if "max_usd" in changed:
            await self._require_prices(job, options.max_usd)
        if options != job.options:
            await self._jobs.set_options(job.id, options)
        return await self._jobs.get(job.id)

    async def _must_not_run(self, job_id: str, what: str) -> None:
        workflow_id = await self._workflow_id(job_id)
        run = await self._jobs.last_run(job_id)
        if run is not None and run.status.finished:
            await self._let_close(await self.temporal(), await self._jobs.get(job_id))
        if await self._is_open(await self.temporal(), workflow_id):
            raise UsageError(
                f"The job {job_id} is running; `stope cancel {job_id}` ends it before it can "
                f"{what}."
            )

    async def _let_close(self, temporal: Client, job: Job) -> None:
        """Wait until the last run, finished in the records, is so for Temporal: it is not joined.

        One that no worker closes is ended; its result is recorded. A pipeline's is left to it.

        Raises:
            UsageError: no worker closes it, and it has yet to start the next stage.
        """
        run = await self._jobs.last_run(job.id)
        if run is None or not run.status.finished or run.workflow_id != job.id:
            return
        deadline = asyncio.get_running_loop().time() + _CLOSE_SECONDS
        while await self._is_open(temporal, run.workflow_id, run.temporal_run_id):
            if asyncio.get_running_loop().time() > deadline:
                if job.options.chain and run.status.has_result and job.type is not JobType.PIPELINE:
                    raise UsageError(
                        f"The job {job.id} has its result and has yet to start the next stage; "
                        "`stope up` starts a worker that does so."
                    )
                await _terminate(temporal, run)
                return
            await asyncio.sleep(0.1)


async def _terminate(temporal: Client, run: JobRun) -> None:
    handle = temporal.get_workflow_handle(run.workflow_id, run_id=run.temporal_run_id)
    with answering():
        try:
            await handle.terminate("its run is finished, and no worker is there to close it")
        except RPCError as error:
            # It has closed by itself at last.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
