"""Jobs and runs: opened, chained, checkpointed and closed. Small, idempotent, records only."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.failures import translated
from activities.services import Services
from activities.stage_shell import done_from_result
from stope import names
from stope.errors import PermanentError
from stope.models.checkpoint import CheckpointError, CheckpointMeta, PipelineCheckpoint
from stope.models.job import (
    InputKind,
    Job,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
    JsonObject,
    job_id_of,
)
from stope.models.messages import (
    FailRun,
    OpenRun,
    OpenStage,
    RunOpened,
    SaveStage,
    StageDone,
    StageOpened,
    StageRequest,
)
from stope.recipes import recipe_of
from stope.stage import open_mirror

_STAGES_OF_KIND = {
    InputKind.RECORDING: (JobType.TRANSCRIBE, JobType.MINE, JobType.FLAGSHIP),
    InputKind.TEXT: (JobType.MINE, JobType.FLAGSHIP),
    InputKind.TRANSCRIPT: (JobType.MINE, JobType.FLAGSHIP),
    InputKind.CLAIMS: (JobType.FLAGSHIP,),
}


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
            run = await jobs.begin_run(job.id, request.run_id, request.workflow_id)
            stages = _STAGES_OF_KIND[job.input.kind] if job.type is JobType.PIPELINE else ()
            if job.type is JobType.PIPELINE and run.checkpoint is None:
                mirror = open_mirror(jobs, run, activity.info().attempt)
                await mirror.write(PipelineCheckpoint())
            return RunOpened(attempt=run.attempt, stages=stages)

    @activity.defn(name=names.OPEN_STAGE)
    async def open_stage(self, request: OpenStage) -> StageOpened:
        """The job of a pipeline's stage, working on what the stage before it gave."""
        with translated():
            jobs = self._services.jobs
            pipeline = await jobs.get(request.pipeline_id)
            source = await self._input_of(pipeline, request.stage)
            config = pipeline.config
            job = await jobs.create(
                Job(
                    id=job_id_of(request.stage, source.identity, config, recipe_of(request.stage)),
                    type=request.stage,
                    input=source,
                    config=config,
                    namespace=pipeline.namespace,
                    parent_id=pipeline.id,
                    status=JobStatus.QUEUED,
                    created_at=datetime.now(UTC),
                )
            )
            if pipeline.namespace and job.namespace != pipeline.namespace:
                await jobs.set_namespace(job.id, pipeline.namespace)
                job = await jobs.get(job.id)
            finished = job.status.has_result and job.result is not None
            return StageOpened(job_id=job.id, done=done_from_result(job) if finished else None)

    async def _input_of(self, pipeline: Job, stage: JobType) -> JobInput:
        stages = _STAGES_OF_KIND[pipeline.input.kind]
        place = stages.index(stage)
        if place == 0:
            return pipeline.input
        before = await self._result_of(pipeline, stages[place - 1])
        kind, field = {
            JobType.MINE: (InputKind.TRANSCRIPT, "transcript_digest"),
            JobType.FLAGSHIP: (InputKind.CLAIMS, "claims_digest"),
        }[stage]
        digest = str(before[field])
        return JobInput(kind=kind, digest=digest, path=self._services.artifacts.uri(digest))

    async def _result_of(self, pipeline: Job, stage: JobType) -> JsonObject:
        """The result of a stage, from the pipeline's newest checkpoint that has it."""
        run = await self._services.jobs.last_run(pipeline.id)
        checkpoint = PipelineCheckpoint.model_validate(run.checkpoint if run else {})
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
            stage_job = await jobs.get(request.stage_job_id)
            checkpoint = PipelineCheckpoint.model_validate(run.checkpoint or {})
            if request.stage.value not in checkpoint.completed_stages:
                checkpoint.completed_stages = [*checkpoint.completed_stages, request.stage.value]
            checkpoint.results = checkpoint.results | {request.stage.value: stage_job.result or {}}
            # Later steps read this one: unlike a stage's mirror it must be written.
            await self._write_checkpoint(request.run_id, checkpoint)

    @activity.defn(name=names.CLOSE_PIPELINE)
    async def close_pipeline(self, request: StageRequest) -> StageDone:
        """Record the pipeline's result: what its stages gave, together."""
        with translated():
            jobs = self._services.jobs
            job, run = await jobs.get(request.job_id), await jobs.get_run(request.run_id)
            if run.status.has_result and job.result is not None:
                return done_from_result(job)
            checkpoint = PipelineCheckpoint.model_validate(run.checkpoint or {})
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
            metrics = await self._metrics(job, run)
            await jobs.finish_run(run.run_id, status, result=result, metrics=metrics)
            return StageDone(
                status=status,
                output_id=str(result["output_id"]),
                result=merged,
                gaps=len(gaps),
            )

    async def _metrics(self, pipeline: Job, run: JobRun) -> JsonObject:
        """What the stages of this attempt did, added up; a stage answered from its result is 0."""
        totals: dict[str, float] = {}
        for stage_run in await self._services.jobs.runs_under(pipeline.id, run.created_at):
            for name, value in (stage_run.metrics or {}).items():
                if isinstance(value, int | float):
                    totals[name] = round(totals.get(name, 0) + value, 3)
        return dict(totals)

    @activity.defn(name=names.FAIL_RUN)
    async def fail_run(self, request: FailRun) -> None:
        """Close a run without a result; the progress in its checkpoint stays."""
        with translated():
            jobs = self._services.jobs
            run = await jobs.get_run(request.run_id)
            if run.status.has_result:
                # The stage recorded its result before it was lost on the way to us.
                return
            await jobs.finish_run(
                run.run_id,
                request.status,
                error_code=request.code,
                error_message=request.message,
            )
            body = dict(run.checkpoint or {})
            meta = CheckpointMeta.model_validate(body.get("stope") or {})
            meta.error = CheckpointError(
                type=request.code,
                message=request.message,
                stage=str(body.get("stage", "")),
                at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            )
            if "stage" in body and request.status is JobStatus.FAILED:
                body["stage"] = "failed"
            meta.version, meta.attempt = meta.version + 1, meta.attempt + 1
            body["stope"] = meta.model_dump(mode="json")
            await jobs.write_checkpoint(run.run_id, meta.attempt, meta.version, body)

    async def _write_checkpoint(self, run_id: str, checkpoint: PipelineCheckpoint) -> None:
        meta = checkpoint.stope
        meta.version += 1
        meta.updated_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        await self._services.jobs.write_checkpoint(
            run_id, meta.attempt, meta.version, checkpoint.model_dump(mode="json")
        )
