"""Running jobs told to wait, to go on, or to end. They are told with no worker alive, too."""

from __future__ import annotations

from jobs.session import JobSession
from stope import names
from stope.errors import UsageError
from stope.models.job import Job, JobStatus
from stope.models.messages import Limits


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
        handle = (await self.temporal()).get_workflow_handle(workflow_id)
        await handle.signal(names.PAUSE, reason)

    async def unpause(
        self, job_id: str, *, max_usd: float | None = None, max_tokens: int | None = None
    ) -> None:
        """Let a job that waits go on.

        Args:
            job_id: which.
            max_usd: a new limit of money, in place of the one it met; None leaves that.
            max_tokens: the same for tokens.

        Raises:
            UsageError: it does not run.
        """
        job = await self.job(job_id)
        workflow_id = await self._open_workflow(job, "unpause")
        limits = Limits(max_usd=max_usd, max_tokens=max_tokens)
        given = limits.model_dump(exclude_none=True)
        if given:
            await self._jobs.set_options(job.id, job.options.model_copy(update=given))
        # Whoever looks now must not take it for one that waits: no worker may be there to say so.
        pipeline_id = workflow_id.rpartition("/")[0]
        for paused in filter(None, (job.id, pipeline_id)):
            run = await self._jobs.last_run(paused)
            if run is not None:
                await self._jobs.mark_run(run.run_id, JobStatus.RUNNING)
        handle = (await self.temporal()).get_workflow_handle(workflow_id)
        await handle.signal(names.UNPAUSE, limits)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop. Units in flight are committed; it can be processed again.

        Raises:
            UsageError: it does not run.
        """
        job = await self.job(job_id)
        workflow_id = await self._open_workflow(job, "cancel")
        handle = (await self.temporal()).get_workflow_handle(workflow_id)
        run_id = (await handle.describe()).run_id
        await handle.cancel()
        # A workflow that no worker has begun ends without a word to the records.
        await self._jobs.give_up(job.id, run_id)

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
