"""Jobs and runs: opened, chained, checkpointed and closed. Small, idempotent, records only."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError
from temporalio import activity

from activities.failures import translated
from activities.lost import close_lost_runs
from activities.services import Services
from activities.stage_shell import done_from_result, done_from_run, ended_before
from stope import names
from stope.errors import PermanentError, TransientError
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
from stope.stage import open_mirror, resumed_checkpoint
from stope.steps.checkpoint import ended, write_file


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

    async def _scope(self, job: Job, run: JobRun) -> str | None:
        """What a stage is about to do, as far as the records know."""
        runs = await self._services.jobs.runs(job.id)
        handed: JsonObject = {}
        if job.parent_id is not None:
            pipeline_run = await self._services.jobs.last_run(job.parent_id)
            results = _checkpoint_of(pipeline_run).results if pipeline_run else {}
            for result in results.values():
                parts = result.get("result")
                handed |= parts if isinstance(parts, dict) else {}
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
            pipeline = await jobs.get(request.pipeline_id)
            source = await self._input_of(pipeline, request.stage)
            job = await open_stage_job(
                jobs,
                request.stage,
                source,
                pipeline.config,
                namespace=request.namespace or pipeline.namespace,
                pipeline_id=pipeline.id,
            )
            finished = job.is_done and job.result is not None
            if request.retry_gaps and job.status is JobStatus.SUCCEEDED_WITH_GAPS:
                finished = False
            done = done_from_result(job.result or {}) if finished else None
            return StageOpened(job_id=job.id, done=done)

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

    async def _input_of(self, pipeline: Job, stage: JobType) -> JobInput:
        stages = stages_of(pipeline.input.kind, pipeline.config)
        place = stages.index(stage)
        if place == 0:
            return pipeline.input
        before = await self._result_of(pipeline, stages[place - 1])
        source = handed_to(stage, before, self._services.artifacts.uri)
        if source is None:
            raise PermanentError(
                f"The stage {stages[place - 1].value} of {pipeline.id} gives nothing that "
                f"{stage.value} could take; `stope redo {pipeline.id} --from "
                f"{stages[place - 1].value}` makes it again."
            )
        return source

    async def _result_of(self, pipeline: Job, stage: JobType) -> JsonObject:
        """The result of a stage, from the pipeline's newest checkpoint that has it."""
        run = await self._services.jobs.last_run(pipeline.id)
        checkpoint = _checkpoint_of(run) if run else PipelineCheckpoint()
        found = checkpoint.results.get(stage.value, {}).get("result")
        if not isinstance(found, dict):
            raise PermanentError(
                f"The pipeline {pipeline.id} has no result of its stage {stage.value}; run it "
                "again and it goes on where it stands."
            )
        return found

    @activity.defn(name=names.SAVE_STAGE)
    async def save_stage(self, request: SaveStage) -> None:
        """Note a finished stage and its result in the pipeline's checkpoint."""
        with translated():
            jobs = self._services.jobs
            run = await jobs.get_run(request.run_id)
            result = await self._given_by(request)
            checkpoint = _checkpoint_of(run)
            if request.stage.value not in checkpoint.completed_stages:
                checkpoint.completed_stages = [*checkpoint.completed_stages, request.stage.value]
            checkpoint.results = checkpoint.results | {request.stage.value: result}
            # Later steps read this one: unlike a stage's mirror it must be written.
            if not await self._write_checkpoint(request.run_id, checkpoint):
                raise TransientError(
                    f"Somebody else wrote the checkpoint of the run {request.run_id} at the same "
                    "time; it is read and written again."
                )

    async def _given_by(self, request: SaveStage) -> JsonObject:
        """The result of the run that did a stage; its job may be made afresh by others by now."""
        jobs = self._services.jobs
        result: JsonObject | None = None
        if request.stage_run_id is not None:
            result = (await jobs.get_run(request.stage_run_id)).result
        result = result or (await jobs.get(request.stage_job_id)).result
        if result is None:
            raise PermanentError(
                f"The job {request.stage_job_id} has no result any more; `stope resume` of its "
                "pipeline makes it again."
            )
        return result

    @activity.defn(name=names.CLOSE_PIPELINE)
    async def close_pipeline(self, request: StageRequest) -> StageDone:
        """Record the pipeline's result: what its stages gave, together."""
        with translated():
            jobs = self._services.jobs
            job, run = await jobs.get(request.job_id), await jobs.get_run(request.run_id)
            if run.status.has_result and (run.result or job.result) is not None:
                return done_from_run(run, job)
            checkpoint = _checkpoint_of(run)
            stages = [checkpoint.results[name] for name in checkpoint.completed_stages]
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
            # Read anew: until then its worker may have mirrored, and may even have succeeded.
            run = await jobs.get_run(request.run_id)
            if not closed and run.status.has_result:
                return
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
            of_steps = "steps_summary" in body and "run_guid" in body
            if of_steps:
                ended(body, request.status, request.message, meta.error.at)
            await jobs.write_checkpoint(run.run_id, meta.attempt, meta.version, body)
            if of_steps:
                await write_file(self._services.artifacts, body)

    async def _write_checkpoint(self, run_id: str, checkpoint: PipelineCheckpoint) -> bool:
        meta = checkpoint.stope
        meta.version += 1
        meta.updated_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return await self._services.jobs.write_checkpoint(
            run_id, meta.attempt, meta.version, checkpoint.model_dump(mode="json")
        )


def _checkpoint_of(run: JobRun) -> PipelineCheckpoint:
    """A pipeline's checkpoint; an empty one where there is none, or somebody's own."""
    return resumed_checkpoint(run.checkpoint, PipelineCheckpoint())


def _meta_of(body: JsonObject) -> CheckpointMeta:
    try:
        return CheckpointMeta.model_validate(body.get("stope") or {})
    except ValidationError:
        return CheckpointMeta()
