"""Jobs done again: resumed, retried, redone, forked; and their runs, made and noted by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from jobs.creation import JobCreation
from stope.errors import UsageError
from stope.identity import canonical_json
from stope.models.job import Job, JobConfig, JobStatus, JobType, JsonObject
from stope.models.route import stages_of


class JobAttempts(JobCreation):
    """Another attempt at a job, with as much or as little of the earlier ones as is wanted."""

    async def create_job_run(self, job_id: str) -> str:
        """The id of a new run of a job, with a checkpoint of its own.

        It waits in the queue: the next start of the job takes the oldest that waits.
        """
        await self.open()
        job = await self._jobs.get(job_id)
        return (await self._jobs.create_run(job.id, job.id)).run_id

    async def save_checkpoint(self, run_id: str, checkpoint: Mapping[str, object]) -> None:
        """Store a checkpoint of your own, any JSON object, with a run.

        When the run begins, its stage writes its own in this place.

        Raises:
            UsageError: the run is at work, and writes its own; or it is no JSON object.
        """
        await self.open()
        try:
            canonical_json(dict(checkpoint))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The checkpoint for the run {run_id} is no JSON object: {error}."
            ) from error
        await self._jobs.save_checkpoint(run_id, checkpoint)

    async def load_checkpoint(self, run_id: str) -> JsonObject | None:
        """The checkpoint of a run; None before it has one."""
        await self.open()
        return (await self._jobs.get_run(run_id)).checkpoint

    async def resume(
        self, job_id: str, *, max_usd: float | None = None, max_tokens: int | None = None
    ) -> Job:
        """Let a job go on that does not: paused, failed, cancelled or never begun.

        One that runs is joined; one with a result is left alone, unless an attempt to get a better
        one ended without.
        """
        job = await self.job(job_id)
        if await self._workflow_id_if_open(job) is not None:
            # Also where the records do not say that it waits: it is the workflow that does.
            await self.unpause(job.id, max_usd=max_usd, max_tokens=max_tokens)
            return await self._jobs.get(job.id)
        if job.status.has_result and await self.is_cut_short(job.id):
            job = await self._with_options(job, max_usd=max_usd, max_tokens=max_tokens)
            with_gaps = job.status is JobStatus.SUCCEEDED_WITH_GAPS
            return await self._start(job, again=True, retry_gaps=with_gaps)
        return await self.start_job(job.id, max_usd=max_usd, max_tokens=max_tokens)

    async def is_cut_short(self, job_id: str) -> bool:
        """Whether the newest attempt at a job ended without a result."""
        run = await self._jobs.last_run(job_id)
        return run is not None and run.status.finished and not run.status.has_result

    async def retry(
        self,
        job_id: str,
        *,
        gaps: bool = False,
        max_usd: float | None = None,
        max_tokens: int | None = None,
    ) -> Job:
        """Try again what failed: a whole job, or only the gaps of one that has a result.

        The result of a job with gaps stands until there is a better one.

        Args:
            job_id: which.
            gaps: do the units again that an earlier run left as gaps; nothing else is done.
            max_usd: pause before spending more than this.
            max_tokens: pause before using more than this.

        Raises:
            UsageError: as ``must_be_retryable``; or it runs, and its gaps are to be tried.
        """
        job = await self.must_be_retryable(job_id, gaps=gaps)
        if gaps and job.status is JobStatus.SUCCEEDED_WITH_GAPS:
            await self._must_not_run(job.id, "try its gaps again")
            job = await self._with_options(job, max_usd=max_usd, max_tokens=max_tokens)
            return await self._start(job, again=True, retry_gaps=True)
        return await self.resume(job.id, max_usd=max_usd, max_tokens=max_tokens)

    async def must_be_retryable(self, job_id: str, *, gaps: bool = False) -> Job:
        """The job, if there is something to try again. One without gaps has all of them tried.

        Raises:
            UsageError: it waits; it has gaps, and ``gaps`` does not say to try them; or it has its
                result, and ``gaps`` does not say that this is what is wanted.
        """
        job = await self.job(job_id)
        if job.status is JobStatus.PAUSED:
            raise UsageError(
                f"The job {job.id} is paused, it has not failed; `stope resume {job.id}` lets it "
                "go on."
            )
        if gaps or not job.status.has_result or await self.is_cut_short(job.id):
            return job
        if job.status is JobStatus.SUCCEEDED_WITH_GAPS:
            raise UsageError(
                f"The job {job.id} has a result with gaps; `stope retry {job.id} --gaps` tries "
                "these again."
            )
        raise UsageError(
            f"The job {job.id} succeeded, so there is nothing to try again; `stope redo {job.id}` "
            "makes it afresh."
        )

    async def redo(self, job_id: str, from_stage: JobType | str | None = None) -> Job:
        """Make a job afresh, from one of its stages on: nothing old is read there.

        Stages before it keep what they have. The result of a pipeline stands until there is
        another.

        Args:
            job_id: which.
            from_stage: of a pipeline; default: all of them.

        Raises:
            UsageError: the job runs, or has no such stage.
        """
        job, stages = await self.must_have_stage(job_id, from_stage)
        if job.type is not JobType.PIPELINE or from_stage in (None, stages[0].value):
            return await self.start_job(job.id, resume_from_checkpoint=False)
        await self._must_not_run(job.id, "be made afresh")
        job = await self._with_options(
            job, redo_from=JobType(from_stage), redo_namespace=uuid.uuid4().hex
        )
        return await self._start(job, again=True)

    async def must_have_stage(
        self, job_id: str, stage: JobType | str | None
    ) -> tuple[Job, tuple[JobType, ...]]:
        """The job and its stages, in order; its type is the only one of a job of one stage.

        Raises:
            UsageError: that stage is none of them.
        """
        job = await self.job(job_id)
        stages: tuple[JobType, ...] = (job.type,)
        if job.type is JobType.PIPELINE:
            stages = stages_of(job.input.kind, job.config)
        if stage is not None and str(stage) not in [one.value for one in stages]:
            raise UsageError(
                f"The job {job.id} has no stage {str(stage)!r}; it has "
                f"{', '.join(one.value for one in stages)}."
            )
        return job, stages

    async def fork(self, job_id: str, **config: object) -> str:
        """The id of a job like another one, with other settings; it is not started.

        What the settings do not change is shared: another ``miner_model`` works on the same
        transcript and segments, another ``flagship_model`` on the same claims.

        Args:
            job_id: which.
            config: fields of ``JobConfig`` to change.

        Raises:
            UsageError: an unknown field or value, or nothing that changes the job.
        """
        job = await self.job(job_id)
        unknown = set(config) - set(JobConfig.model_fields)
        if unknown:
            raise UsageError(
                f"The config has the unknown field {min(unknown)!r}; known are "
                f"{', '.join(JobConfig.model_fields)}."
            )
        # Another config has another run: a folder that was named for this one stays with it.
        source = job.config.model_copy(update={"run_guid": ""})
        wanted = self._config(source.model_dump() | config)
        if wanted.for_type(job.type) == source.for_type(job.type):
            raise UsageError(
                f"A fork of {job.id} with these settings is the job itself; change something that "
                f"a {job.type.value} job uses."
            )
        forked = await self._created(
            job.type, job.input, wanted, max_workers=job.options.max_workers
        )
        return forked.id
