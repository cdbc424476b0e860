"""Jobs and runs: opened, chained, checkpointed and closed. Small, idempotent, records only."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from pydantic import ValidationError
from temporalio import activity

from activities.episode_run import EpisodeRun
from activities.failures import translated
from activities.lost import close_lost_runs
from activities.services import Services
from activities.stage_shell import done_from_result, done_from_run, ended_before
from stope import names
from stope.errors import PermanentError, StopeError
from stope.following import open_following, open_stage_job
from stope.models.checkpoint import CheckpointError, CheckpointMeta, PipelineCheckpoint
from stope.models.job import Job, JobInput, JobRun, JobStatus, JobType, JsonObject
from stope.models.messages import (
    FailRun,
    MarkRun,
    NextOpened,
    OpenNext,
    OpenRun,
    OpenStage,
    RunOpened,
    SaveStage,
    StageDone,
    StageOpened,
    StageRequest,
)
from stope.models.route import handed_to, stages_of
from stope.run_metrics import LOWEST
from stope.scope import scope_of
from stope.stage import open_mirror
from stope.steps.checkpoint import ended, only_newer, write_file
from stope.steps.episode import parts_of, shown_in
from stope.upload.places import check_access

log = logging.getLogger(__name__)

_TRIES = 5
"""Each is lost to somebody who was at work when the run was closed; nobody begins after that."""


class RunActivities:
    """What workflows ask of the records."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=names.OPEN_RUN)
    async def open_run(self, request: OpenRun) -> RunOpened:
        """Number an attempt and mark its job as running."""
        with translated():
            jobs = self._services.jobs
            job = await jobs.get(request.job_id)
            run = await jobs.begin_run(
                job.id, request.run_id, request.workflow_id, request.pipeline_run_id
            )
            await close_lost_runs(jobs, run)
            await self._check_chain(job, run)
            stages: tuple[JobType, ...] = ()
            if job.type is JobType.PIPELINE:
                stages = stages_of(job.input.kind, job.config)
                if "completed_stages" not in (run.checkpoint or {}):
                    mirror = open_mirror(jobs, run, activity.info().attempt)
                    await mirror.write(PipelineCheckpoint())
            return RunOpened(
                attempt=run.attempt,
                run_id=run.run_id,
                stages=stages,
                scope=await self._scope(job, run),
            )

    async def _check_chain(self, job: Job, run: JobRun) -> None:
        """See that the upload at a chain's end can be begun from here, before what comes before it.

        The workflow knows of no run yet that it could close, so one that cannot go on is closed.
        """
        is_chain = job.options.chain and run.workflow_id == job.id
        if job.type is JobType.PIPELINE or not is_chain or not job.config.upload_to:
            return
        try:
            await check_access(job.config.upload_to, self._services.settings)
        except StopeError as error:
            if not error.retryable:
                await self._close(
                    FailRun(
                        run_id=run.run_id,
                        status=JobStatus.FAILED,
                        code=error.code,
                        message=str(error),
                    )
                )
            raise

    async def _scope(self, job: Job, run: JobRun) -> str | None:
        """What a stage is about to do, as far as the records know."""
        runs = await self._services.jobs.runs(job.id)
        handed: JsonObject = {}
        if job.parent_id is not None:
            pipeline_run = await self._services.jobs.last_run(job.parent_id)
            handed = parts_of(shown_in(pipeline_run.checkpoint).results) if pipeline_run else {}
        checkpoints = [
            one.checkpoint
            for one in reversed(runs)
            if one.run_id != run.run_id and one.checkpoint is not None
        ]
        return scope_of(job.type, checkpoints, handed, afresh=bool(job.namespace))

    @activity.defn(name=names.OPEN_STAGE)
    async def open_stage(self, request: OpenStage) -> StageOpened:
        """The job of a pipeline's stage, working on what the stage before it gave."""
        with translated():
            jobs = self._services.jobs
            # First of all: whoever is held up from here on is older than those who come meanwhile.
            run = await self._pipeline_run(request)
            pipeline = await jobs.get(request.pipeline_id)
            episode = EpisodeRun(self._services, pipeline, run)
            if request.stage.value == episode.definition.steps[0].name:
                if pipeline.config.upload_to:
                    # And not after the hours that come before the last stage.
                    await check_access(pipeline.config.upload_to, self._services.settings)
                await episode.open()
            source = self._input_of(episode, request.stage)
            job = await open_stage_job(
                jobs,
                request.stage,
                source,
                pipeline.config,
                namespace=pipeline.namespace,
                redo=request.namespace,
                pipeline_id=pipeline.id,
            )
            finished = job.is_done and job.result is not None
            if request.retry_gaps and job.status is JobStatus.SUCCEEDED_WITH_GAPS:
                finished = False
            done = None
            if finished and await episode.is_whole(request.stage, job):
                done = done_from_result(job.result or {})
            else:
                await episode.begin(request.stage, job.id)
            await episode.note()
            return StageOpened(job_id=job.id, done=done)

    async def _pipeline_run(self, request: OpenStage) -> JobRun:
        jobs = self._services.jobs
        if request.run_id is not None:
            return await jobs.get_run(request.run_id)
        run = await jobs.last_run(request.pipeline_id)
        if run is None:
            raise PermanentError(
                f"The pipeline {request.pipeline_id} has no run; `stope resume "
                f"{request.pipeline_id}` begins one."
            )
        return run

    @activity.defn(name=names.OPEN_NEXT)
    async def open_next(self, request: OpenNext) -> NextOpened:
        """The first job after a finished one, on the way of the stages, that has no result yet."""
        with translated():
            jobs = self._services.jobs
            following = await open_following(
                jobs, await jobs.get(request.job_id), self._services.artifacts.uri
            )
            if following is None:
                return NextOpened()
            return NextOpened(job_id=following.id, type=following.type)

    @activity.defn(name=names.MARK_RUN)
    async def mark_run(self, request: MarkRun) -> None:
        """An open run, and the pipeline it is part of, is paused or goes on."""
        with translated():
            jobs = self._services.jobs
            marked = [await jobs.get_run(request.run_id)]
            if request.pipeline_id is not None:
                pipeline_run = await jobs.last_run(request.pipeline_id)
                marked += [pipeline_run] if pipeline_run else []
            for run in marked:
                metrics = await self._metrics_so_far(run)
                if metrics is not None:
                    await jobs.note_metrics(run.run_id, metrics)
                await jobs.mark_run(
                    run.run_id, request.status, code=request.code, message=request.message
                )

    def _input_of(self, episode: EpisodeRun, stage: JobType) -> JobInput:
        pipeline = episode.job
        stages = stages_of(pipeline.input.kind, pipeline.config)
        place = stages.index(stage)
        if place == 0:
            return pipeline.input
        before = stages[place - 1].value
        parts = episode.results.get(before, {}).get("result")
        if not isinstance(parts, dict):
            raise PermanentError(
                f"The pipeline {pipeline.id} has no result of its stage {before}; run it again "
                "and it goes on where it stands."
            )
        source = handed_to(stage, parts, self._services.artifacts.uri)
        if source is None:
            raise PermanentError(
                f"The stage {before} of {pipeline.id} gives nothing that {stage.value} could "
                f"take; `stope redo {pipeline.id} --from {before}` makes it again."
            )
        return source

    @activity.defn(name=names.SAVE_STAGE)
    async def save_stage(self, request: SaveStage) -> None:
        """Note a finished stage and its result in the pipeline's checkpoint."""
        with translated():
            jobs = self._services.jobs
            run, (by, result) = await asyncio.gather(
                jobs.get_run(request.run_id), self._given_by(request)
            )
            episode = EpisodeRun(self._services, await jobs.get(run.job_id), run)
            await episode.end(request.stage, request.stage_job_id, result, by)
            await episode.note()

    async def _given_by(self, request: SaveStage) -> tuple[JobRun | None, JsonObject]:
        """The result of the run that did a stage; its job may be made afresh by others by now."""
        jobs = self._services.jobs
        by: JobRun | None = None
        if request.stage_run_id is not None:
            by = await jobs.get_run(request.stage_run_id)
        result = by.result if by is not None else None
        result = result or (await jobs.get(request.stage_job_id)).result
        if result is None:
            raise PermanentError(
                f"The job {request.stage_job_id} has no result any more; `stope resume` of its "
                "pipeline makes it again."
            )
        return by, result

    @activity.defn(name=names.CLOSE_PIPELINE)
    async def close_pipeline(self, request: StageRequest) -> StageDone:
        """Record the pipeline's result: what its stages gave, together."""
        with translated():
            jobs = self._services.jobs
            job, run = await jobs.get(request.job_id), await jobs.get_run(request.run_id)
            episode = EpisodeRun(self._services, job, run)
            if run.status.has_result and (run.result or job.result) is not None:
                done = done_from_run(run, job)
                await episode.clean(done.status)
                return done
            names_in_order = [step.name for step in episode.definition.steps]
            missing = [name for name in names_in_order if name not in episode.results]
            if missing:
                raise PermanentError(
                    f"The checkpoint of {job.id} has no result of its stage {missing[0]} any more; "
                    f"`stope resume {job.id}` takes it from the stage's own job."
                )
            stages = [episode.results[name] for name in names_in_order]
            merged: JsonObject = {}
            gaps: list[object] = []
            for stage in stages:
                part, stage_gaps = stage.get("result"), stage.get("gaps", [])
                merged |= part if isinstance(part, dict) else {}
                gaps += stage_gaps if isinstance(stage_gaps, list) else []
            status = JobStatus.SUCCEEDED_WITH_GAPS if gaps else JobStatus.SUCCEEDED
            result: JsonObject = {
                "status": status.value,
                "output_id": stages[-1]["output_id"],
                "result": merged,
            }
            if gaps:
                result["gaps"] = gaps
            metrics = await self._metrics(run)
            if job.options.redo_from is not None:
                # What was to be made afresh is; a later run keeps it.
                options = job.options.model_copy(update={"redo_from": None, "redo_namespace": ""})
                await jobs.set_options(job.id, options)
            if not await jobs.finish_run(run.run_id, status, result=result, metrics=metrics):
                return await ended_before(self._services, job, run)
            await episode.clean(status)
            return StageDone(
                run_id=run.run_id,
                status=status,
                output_id=str(result["output_id"]),
                result=merged,
                gaps=len(gaps),
            )

    async def _metrics(self, run: JobRun) -> JsonObject:
        """What the stages of this attempt did, added up; a stage answered from its result is 0."""
        totals: dict[str, float] = {}
        for stage_run in await self._services.jobs.runs_under(run.run_id):
            for name, value in (stage_run.metrics or {}).items():
                if not isinstance(value, int | float):
                    continue
                if name == LOWEST:
                    totals[name] = min(totals.get(name, value), value)
                else:
                    # Money has more digits than seconds have.
                    totals[name] = round(totals.get(name, 0) + value, 9)
        return dict(totals)

    async def _metrics_so_far(self, run: JobRun) -> JsonObject | None:
        """Of a pipeline: what its stages noted. Of a stage: None, it has noted its own."""
        job = await self._services.jobs.get(run.job_id)
        return await self._metrics(run) if job.type is JobType.PIPELINE else None

    @activity.defn(name=names.FAIL_RUN)
    async def fail_run(self, request: FailRun) -> None:
        """Close a run without a result; the progress in its checkpoint stays."""
        with translated():
            await self._close(request)

    async def _close(self, request: FailRun) -> None:
        jobs = self._services.jobs
        run = await jobs.get_run(request.run_id)
        if run.status.has_result:
            # The stage recorded its result before it was lost on the way to us.
            return
        closed = await jobs.finish_run(
            run.run_id,
            request.status,
            error_code=request.code,
            error_message=request.message,
            metrics=await self._metrics_so_far(run),
        )
        for _ in range(_TRIES):
            # Read anew: until then its worker may have mirrored, and may even have succeeded.
            run = await jobs.get_run(request.run_id)
            if not closed and run.status.has_result:
                return
            body, meta = _ended_body(run, request)
            if await jobs.write_checkpoint(run.run_id, meta.attempt, meta.version, body):
                break
        else:
            log.warning("the checkpoint of run %s does not say how it ended", run.run_id)
            return
        if _is_of_steps(body):
            await write_file(self._services.artifacts, body, only_newer(jobs, body))


def _ended_body(run: JobRun, request: FailRun) -> tuple[JsonObject, CheckpointMeta]:
    """A run's checkpoint as it ends without a result, with the numbers by which it is newer."""
    body = dict(run.checkpoint or {})
    meta = _meta_of(body)
    meta.error = CheckpointError(
        type=request.code,
        message=request.message,
        stage=str(body.get("stage", "")),
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    if "stage" in body and request.status is JobStatus.FAILED:
        body["stage"] = "failed"
    meta.version, meta.attempt = meta.version + 1, meta.attempt + 1
    own = body.get("stope")
    body["stope"] = (own if isinstance(own, dict) else {}) | meta.model_dump(mode="json")
    if _is_of_steps(body):
        ended(body, request.status, request.message, meta.error.at)
    return body, meta


def _is_of_steps(body: JsonObject) -> bool:
    """Whether a checkpoint is a pipeline's, and so in its run's folder, too."""
    return "steps_summary" in body and "run_guid" in body


def _meta_of(body: JsonObject) -> CheckpointMeta:
    try:
        return CheckpointMeta.model_validate(body.get("stope") or {})
    except ValidationError:
        return CheckpointMeta()
