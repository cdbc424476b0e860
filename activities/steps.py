"""Step pipelines as activities: one for any step of any pipeline, and those around the steps."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

from temporalio import activity

from activities.backoff import backing_off
from activities.failures import translated
from activities.progress import reporting
from activities.services import Services
from activities.stage_shell import beating, done_from_run, draining_event, ended_before, hold_leases
from activities.step_run import StepRun, context_of, metrics_of, result_of, scratch_of
from stope import names
from stope.errors import PermanentError, ResumeError, TransientError, UsageError
from stope.identity import digest_of
from stope.models.gap import Gap
from stope.models.job import JobStatus, JsonObject
from stope.models.messages import StageDone, StageRequest
from stope.models.progress import StageProgress
from stope.models.steps import (
    NoteStep,
    OpenSteps,
    StepDone,
    StepPlace,
    StepRecord,
    StepRequest,
    StepsOpened,
    StepStatus,
    StepSummary,
    step_done,
)
from stope.records.sources import SourceDigests
from stope.stage import status_of
from stope.steps.cache import ContextCache
from stope.steps.checkpoint import delete_file, is_over, timestamp
from stope.steps.context import StepContext
from stope.steps.definition import Step
from stope.steps.identity import (
    key_of_another_time,
    key_of_failure,
    run_guid_of,
)
from stope.steps.opening import RECORD_STAGE, Opening, read_records
from stope.steps.registry import Pipelines
from stope.steps.store import ValueStore
from stope.steps.uses import UsesLog
from stope.steps.work import StepWork


class StepActivities:
    """What the workflow of step pipelines asks for.

    Args:
        services: stores of this process.
        pipelines: those it knows.
    """

    def __init__(self, services: Services, pipelines: Pipelines) -> None:
        self._services = services
        self._pipelines = pipelines
        self.cache = ContextCache()

    @activity.defn(name=names.OPEN_STEPS)
    async def open_steps(self, request: OpenSteps) -> StepsOpened:
        """Find what is finished of a run, and write its first checkpoint."""
        with translated():
            place = StepPlace(job_id=request.job_id, run_id=request.run_id, fingerprint="")
            at = await self._at(place)
            opening = Opening(
                at.job, at.pipeline, at.services.artifacts, at.services.units, at.values
            )
            opened = await opening.open(
                retry_gaps=request.retry_gaps, strict=at.job.options.strict_resume
            )
            at.generation, at.notices = opened.generation, opened.notices
            await at.write(opened.records, opened.keys)
            return StepsOpened(
                definition=at.pipeline.definition,
                generation=opened.generation,
                kept=tuple(
                    step_done(record, opened.keys[name]) for name, record in opened.records.items()
                ),
                again=opened.again,
                notices=opened.notices,
            )

    @activity.defn(name=names.RUN_STEP)
    async def run_step(self, request: StepRequest) -> StepDone:
        """One attempt at one step."""
        with translated():
            at = await self._at(request.place)
            records = await at.records()
            step = at.pipeline.step(request.step)
            asked = StageRequest(job_id=at.job.id, run_id=at.run.run_id)
            async with reporting(asked) as report, draining_event() as draining:

                def show(progress: StageProgress) -> None:
                    # That a step has begun is known to the workflow that began it.
                    if progress.total is not None:
                        report(progress)

                async with beating(show) as beat, hold_leases(self._services, at.run) as leases:
                    context, work = await self._work(at, step, request, records)
                    context.begin(beat, draining, leases)
                    record = await self._worked(at, work, records)
                    keys = request.place.keys | {step.name: work.key}
                    await at.write(records | {step.name: record}, keys)
            return step_done(
                record,
                work.key,
                units=context.units_done + context.units_reused,
                reused=context.units_reused,
            )

    async def _worked(
        self, at: StepRun, work: StepWork, records: dict[str, StepRecord]
    ) -> StepRecord:
        """The step's record. Checkpoints say that it is at work, and how an attempt failed."""
        summary = StepSummary(
            status=StepStatus.IN_PROGRESS,
            started_at=work.started_at,
            attempt=work.context.attempt,
        )
        await at.write(records, at.place.keys, {work.context.step: summary})
        try:
            with backing_off(work):
                return await work.record()
        except Exception as error:
            passes = isinstance(error, TransientError)
            failed = summary.model_copy(
                update={
                    "status": StepStatus.IN_PROGRESS if passes else StepStatus.FAILED,
                    "finished_at": None if passes else timestamp(),
                    "error": str(error) or type(error).__name__,
                }
            )
            await at.write(records, at.place.keys, {work.context.step: failed})
            raise

    @activity.defn(name=names.NOTE_STEP)
    async def note_step(self, request: NoteStep) -> StepDone:
        """Commit that an optional step gives nothing, and go on without it."""
        with translated():
            at = await self._at(request.place)
            records = await at.records()
            identity = at.identity(at.pipeline.step(request.step), records)
            key = key_of_failure(identity, at.run.run_id)
            before = at.shown.steps_summary.get(request.step, StepSummary())
            now = timestamp()
            record = StepRecord(
                step=request.step,
                identity=identity,
                run_id=at.run.run_id,
                status=request.status,
                attempt=before.attempt,
                started_at=before.started_at or now,
                finished_at=now,
                duration=0,
                gaps=(Gap(stage=request.step, unit_id=request.step, reason=request.error),),
                error=request.error,
            )
            units = at.services.units
            await units.use("unit", {request.step: key})
            await units.commit(key, RECORD_STAGE, record.model_dump_json(), 0)
            await at.write(
                records | {request.step: record}, request.place.keys | {request.step: key}
            )
            return step_done(record, key)

    @activity.defn(name=names.CLOSE_STEPS)
    async def close_steps(self, request: StepPlace) -> StageDone:
        """Record the result; with a full success, clean up what was only kept for a resume."""
        with translated():
            at = await self._at(request)
            if at.run.status.has_result and (at.run.result or at.job.result) is not None:
                done = done_from_run(at.run, at.job)
                await self._clean(at, done.status)
                return done
            records = await at.records()
            result = result_of(at, records)
            gaps = tuple(gap for record in records.values() for gap in record.gaps)
            status = status_of(gaps)
            stored: JsonObject = {
                "status": status.value,
                "output_id": f"{at.pipeline.name}-{digest_of(result)[:16]}",
                "result": result,
            }
            if gaps:
                stored["gaps"] = [gap.model_dump(mode="json") for gap in gaps]
            metrics = metrics_of(at.run, records)
            closed = await self._services.jobs.finish_run(
                at.run.run_id, status, result=stored, metrics=metrics
            )
            if not closed:
                return await ended_before(self._services, at.job, at.run)
            await self._clean(at, status)
            return StageDone(
                run_id=at.run.run_id,
                status=status,
                output_id=str(stored["output_id"]),
                result=result,
                gaps=len(gaps),
            )

    async def _clean(self, at: StepRun, status: JobStatus) -> None:
        """Delete the checkpoint file and the scratch folder; inputs and outputs are not touched."""
        if status is not JobStatus.SUCCEEDED or at.job.options.keep_checkpoint:
            return
        guid = run_guid_of(at.job)

        async def may(found: bytes | None) -> bool:
            return await is_over(at.services.jobs, at.run, found)

        await delete_file(at.services.artifacts, guid, may)
        folder = scratch_of(self._services, guid)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _work(
        self, at: StepRun, step: Step, request: StepRequest, records: dict[str, StepRecord]
    ) -> tuple[StepContext[Any], StepWork]:
        identity = at.identity(step, records)
        key = await self._key(at, identity) if request.again else identity
        uses = UsesLog(at.services.artifacts)
        values = ValueStore(uses.artifacts, self.cache)
        scratch = scratch_of(self._services, run_guid_of(at.job)) / step.name
        scratch.mkdir(parents=True, exist_ok=True)
        context: StepContext[Any] = StepContext(
            config=at.config(),
            files=at.job.input.files,
            pipeline=at.pipeline.name,
            step=step,
            run_guid=run_guid_of(at.job),
            attempt=activity.info().attempt,
            scratch=scratch,
            artifacts=uses.artifacts,
            settings=self._services.settings,
            context=context_of(records),
            values=values,
            units=at.services.units,
            unit_seed=at.unit_seed(step),
            max_workers=request.max_workers or self._services.settings.max_workers,
            digests=SourceDigests(self._services.database),
        )
        units = at.services.units
        return context, StepWork(at.run, step, context, identity, key, units, values, uses)

    async def _key(self, at: StepRun, identity: str) -> str:
        """Where a step is committed whose gaps are tried again: after all that have some."""
        key = identity
        while True:
            # Looked at only: what the run goes on with is noted when it does.
            found = await read_records(self._services.units, [key])
            # What this run left as a gap, an earlier attempt at its step has just tried.
            left = [
                record.run_id
                for record in found.values()
                if record.gaps and record.run_id != at.run.run_id
            ]
            if not left:
                return key
            key = key_of_another_time(key, left[0])

    async def _at(self, place: StepPlace) -> StepRun:
        """The run, as its records say it stands.

        Raises:
            ResumeError: the pipeline is declared in another way here than when the run began.
        """
        jobs = self._services.jobs
        job, run = await asyncio.gather(jobs.get(place.job_id), jobs.get_run(place.run_id))
        if run.namespace is not None:
            # Whoever has the job made afresh meanwhile gets a run of its own.
            job = job.model_copy(update={"namespace": run.namespace})
        try:
            pipeline = self._pipelines.get(job.config.pipeline)
        except UsageError as error:
            raise PermanentError(str(error)) from error
        if place.fingerprint and pipeline.definition.fingerprint != place.fingerprint:
            raise ResumeError(
                f"The pipeline {pipeline.name} is declared in another way on this worker than "
                f"where the run began; give all workers the same version, then `stope resume "
                f"{job.id}`."
            )
        return StepRun(self._services.of_run(run.run_id), job, run, pipeline, place, self.cache)
