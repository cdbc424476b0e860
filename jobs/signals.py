"""Running jobs told to wait, to go on, or to end. They are told with no worker alive, too."""

from __future__ import annotations

import asyncio

from jobs.session import JobSession, answering
from stope import names
from stope.errors import StopeError, UsageError
from stope.models.job import Job, JobStatus, JobType
from stope.models.messages import Changes, Limits
from stope.money.prices import require_limitable


class JobSignals(JobSession):
    """Speaks to the workflows of running jobs."""

    async def pause(self, job_id: str, reason: str = "") -> None:
        """Ask a job to wait. Units in flight are committed; ``unpause`` lets it go on.

        Args:
            job_id: which; a stage of a pipeline holds its pipeline with it.
            reason: the sentence that people read meanwhile.

        Raises:
            UsageError: it does not run.
        """
        job = await self.job(job_id)
        workflow_id = await self._open_workflow(job, "pause")
        await self._signal(job, workflow_id, names.PAUSE, reason)

    async def unpause(
        self, job_id: str, *, max_usd: float | None = None, max_tokens: int | None = None
    ) -> None:
        """Let a job that waits go on.

        Args:
            job_id: which.
            max_usd: a new limit of money, in place of the one it met; None leaves that.
            max_tokens: the same for tokens.

        Raises:
            UsageError: it does not run, or it is to have a limit of money and a model's price is
                not known.
        """
        job = await self.job(job_id)
        workflow_id = await self._open_workflow(job, "unpause")
        await self._require_prices(job, max_usd)
        given = Limits(max_usd=max_usd, max_tokens=max_tokens).model_dump(exclude_none=True)
        options = job.options.model_copy(update=given)
        if given:
            await self._jobs.set_options(job.id, options)
        # With those that were stored while it waited.
        limits = Limits(max_usd=options.max_usd, max_tokens=options.max_tokens)
        # Whoever looks now must not take it for one that waits: no worker may be there to say so.
        pipeline_id = workflow_id.rpartition("/")[0]
        runs = [await self._jobs.last_run(name) for name in (job.id, pipeline_id) if name]
        paused = [run for run in runs if run is not None and run.status is JobStatus.PAUSED]
        for run in paused:
            await self._jobs.mark_run(run.run_id, JobStatus.RUNNING)
        try:
            await self._signal(job, workflow_id, names.UNPAUSE, limits)
        except StopeError:
            for run in paused:
                await self._jobs.mark_run(
                    run.run_id,
                    JobStatus.PAUSED,
                    code=run.error_code,
                    message=run.error_message,
                )
            raise

    async def _change(self, job: Job, changes: Changes) -> None:
        """Have a job that runs worked on in another way; one that does not begins with that."""
        if job.type is JobType.PIPELINE:
            changes = changes.model_copy(update={"chain": None})
        if not changes.model_dump(exclude_none=True):
            return
        workflow_id = await self._workflow_id_if_open(job)
        if workflow_id is not None:
            await self._signal(job, workflow_id, names.CHANGE, changes)

    async def _signal(self, job: Job, workflow_id: str, name: str, argument: object) -> None:
        handle = (await self.temporal()).get_workflow_handle(workflow_id)
        with answering(f"The job {job.id} has just ended; `stope jobs` shows how."):
            await handle.signal(name, argument)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop. Units in flight are committed; it can be processed again.

        Raises:
            UsageError: it does not run.
        """
        job = await self.job(job_id)
        workflow_id = await self._open_workflow(job, "cancel")
        handle = (await self.temporal()).get_workflow_handle(workflow_id)
        with answering(f"The job {job.id} has just ended; `stope jobs` shows how."):
            run_id = (await handle.describe()).run_id
            await handle.cancel()
        # A workflow that no worker has begun ends without a word to the records.
        await self._jobs.give_up(job.id, run_id)

    async def _require_prices(self, job: Job, max_usd: float | None) -> None:
        """Refuse a limit of money where a model of the job has no known price."""
        if max_usd is not None:
            await asyncio.to_thread(require_limitable, job, self.settings)

    async def _workflow_id_if_open(self, job: Job) -> str | None:
        if job.status.finished:
            return None
        workflow_id = await self._workflow_id(job.id)
        is_open = await self._is_open(await self.temporal(), workflow_id)
        return workflow_id if is_open else None

    async def _open_workflow(self, job: Job, verb: str) -> str:
        workflow_id = await self._workflow_id(job.id)
        if not await self._is_open(await self.temporal(), workflow_id):
            raise UsageError(
                f"The job {job.id} does not run (it is {job.status.value}), so there is nothing "
                f"to {verb}."
            )
        return workflow_id

    async def _workflow_id(self, job_id: str) -> str:
        """The workflow that works on a job: its own, or the pipeline's that it is a stage of."""
        run = await self._jobs.last_run(job_id)
        if (
            run is not None
            and run.workflow_id != job_id
            and not run.status.finished
            and await self._is_open(await self.temporal(), run.workflow_id)
        ):
            return run.workflow_id
        return job_id
