"""Jobs that follow from other jobs: the stages of a pipeline, the links of a chain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from stope.errors import PermanentError
from stope.models.job import Job, JobConfig, JobInput, JobStatus, JobType, job_id_of
from stope.models.route import handed_to, next_stage
from stope.recipes import recipe_of
from stope.records.jobs import JobRecords


def stage_job_id(stage: JobType, source: JobInput, config: JobConfig) -> str:
    """The id of a stage's job on some input: of everything that decides what it gives."""
    return job_id_of(stage, source.identity, config, recipe_of(stage))


async def stage_job(
    jobs: JobRecords,
    stage: JobType,
    source: JobInput,
    config: JobConfig,
    *,
    namespace: str = "",
    pipeline_id: str | None = None,
) -> Job:
    """The job of a stage on some input as it is, made in a namespace where there is none yet."""
    return await jobs.create(
        Job(
            id=stage_job_id(stage, source, config),
            type=stage,
            input=source,
            config=config,
            namespace=namespace,
            parent_id=pipeline_id,
            status=JobStatus.QUEUED,
            created_at=datetime.now(UTC),
        )
    )


async def open_stage_job(
    jobs: JobRecords,
    stage: JobType,
    source: JobInput,
    config: JobConfig,
    *,
    namespace: str = "",
    redo: str = "",
    pipeline_id: str | None = None,
) -> Job:
    """The job of a stage on some input, made where there is none yet.

    In a namespace of its own it is not done by a result from outside of it. One that its pipeline
    had made afresh since then stays in that later namespace.

    Args:
        jobs: the records.
        stage: which.
        source: what it works on.
        config: the pipeline's, or the chain's.
        namespace: of whoever asks for it.
        redo: the namespace in which the stage is made afresh now.
        pipeline_id: whose stage it is.
    """
    wanted = redo or namespace
    job = await stage_job(jobs, stage, source, config, namespace=wanted, pipeline_id=pipeline_id)
    if not wanted or job.namespace == wanted:
        return job
    if not redo and pipeline_id is not None and await jobs.was_redone(job.id, pipeline_id):
        return job
    await jobs.set_namespace(job.id, wanted)
    return await jobs.get(job.id)


async def open_following(jobs: JobRecords, job: Job, uri: Callable[[str], str]) -> Job | None:
    """The first job after a finished one, on the way of the stages, that has no result yet.

    ``uri`` says where an artifact with a digest lies. None: the way ends with results only.

    Raises:
        PermanentError: the job gives nothing that the next stage could take.
    """
    while (stage := next_stage(job.type, job.config)) is not None:
        parts = (job.result or {}).get("result")
        source = handed_to(stage, parts if isinstance(parts, dict) else {}, uri)
        if source is None:
            raise PermanentError(
                f"The job {job.id} gives nothing that a {stage.value} job could take; run it "
                "again with --force to have it made anew."
            )
        following = await open_stage_job(jobs, stage, source, job.config, namespace=job.namespace)
        if not following.is_done:
            await jobs.set_options(following.id, job.options)
            await jobs.set_config(following.id, job.config)
            return await jobs.get(following.id)
        # It goes on as the first one was asked to, whoever asked for this one before.
        job = following.model_copy(update={"config": job.config, "options": job.options})
    return None
