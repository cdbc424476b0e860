"""A run of an episode, as its activities see it: its checkpoint, and what is kept of it."""

from __future__ import annotations

import logging

from activities.services import Services
from stope.errors import ResumeError
from stope.following import stage_job
from stope.identity import digest_of
from stope.models.job import Job, JobInput, JobRun, JobStatus, JobType, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.route import episode_of, handed_to
from stope.models.steps import StepRecord, StepStatus, StepSummary
from stope.rebuild import Committed, Rebuilder
from stope.steps.cache import ContextCache
from stope.steps.checkpoint import CheckpointFile, delete_file, is_over, timestamp
from stope.steps.episode import (
    damage_in,
    episode_checkpoint,
    kept_of,
    parts_of,
    records_in,
    run_that_gave,
    shown_in,
    stage_record,
)
from stope.steps.identity import run_guid_of
from stope.steps.store import ValueStore, referred

log = logging.getLogger(__name__)


class EpisodeRun:
    """A run of an episode, for one activity of it. ``note`` writes what has changed.

    Args:
        services: of this process.
        job: the episode's.
        run: as it stands in the records.
    """

    def __init__(self, services: Services, job: Job, run: JobRun) -> None:
        if run.namespace is not None:
            # Whoever has the job made afresh meanwhile gets a run of its own.
            job = job.model_copy(update={"namespace": run.namespace})
        self.job = job
        self.run = run
        self.definition = episode_of(job)
        shown = shown_in(run.checkpoint, run_guid_of(job))
        self.results = shown.results
        self._records = records_in(shown, self.definition)
        self._notices = shown.stope.notices
        self._live: dict[str, StepSummary] = {}
        self._is_opened = bool(shown.results) and shown.stope.run_id == run.run_id
        self._changed = self._has_ended = False
        self._services = services
        self._artifacts = services.of_run(run.run_id).artifacts
        self._values = ValueStore(self._artifacts, ContextCache())
        self._file = CheckpointFile(services.artifacts, services.jobs, run)

    async def open(self) -> None:
        """Find what is kept of the run, and take over what other records had finished.

        Once: whoever comes late, taken for dead, does not throw away what the run has by then.

        Raises:
            ResumeError: what is there does not fit, and must.
            TransientError: it cannot be seen just now.
        """
        if self._is_opened:
            return
        strict = self.job.options.strict_resume
        kept = await kept_of(self.job, self._artifacts, self._values, strict=strict)
        self._records, self.results, self._notices = {}, {}, kept.notices
        source: JobInput | None = self.job.input
        for name, record in kept.records.items():
            stage = JobType(name)
            if self.results:
                source = handed_to(stage, parts_of(self.results), self._artifacts.uri)
            result = kept.results[name]
            if source is None or not await self._has(stage, source, record, result):
                break
            self._records[name], self.results[name] = record, result
        self._changed = True

    async def _has(
        self, stage: JobType, source: JobInput, record: StepRecord, result: JsonObject
    ) -> bool:
        """Whether a stage's job has a result; where it never had one, it has this from now on.

        One that is in another namespace stays there, and has not.
        """
        jobs = self._services.jobs
        job = await stage_job(
            jobs,
            stage,
            source,
            self.job.config,
            namespace=self.job.namespace,
            pipeline_id=self.job.id,
        )
        if job.result is None and job.namespace == self.job.namespace:
            await self._take_over(job, record, result)
            job = await jobs.get(job.id)
        return job.is_done and job.result == result

    async def _take_over(self, job: Job, record: StepRecord, result: JsonObject) -> None:
        """Give a stage's job the result that other records have, with a run and rows of its own."""
        jobs, knowledge = self._services.jobs, self._services.knowledge
        output_id = str(result["output_id"])
        for name, entry in record.gives.items():
            digest = str(referred(entry))
            # Read a moment ago, to see that they are whole.
            if job.type is JobType.MINE:
                await knowledge.write_claims(
                    output_id, await self._values.load(digest, MinedClaims, name)
                )
            elif job.type is JobType.FLAGSHIP:
                await knowledge.write_verdicts(
                    output_id, await self._values.load(digest, Knowledge, name)
                )
        taken = digest_of(["taken over", job.id, result])[:32]
        run = await jobs.begin_run(job.id, taken, f"{self.job.id}/{job.type.value}")
        status = JobStatus(str(result["status"]))
        mirror = await Rebuilder(
            job.model_copy(update={"status": status, "result": result}),
            run.model_copy(update={"status": status, "result": result}),
            Committed(),
            self._artifacts,
            self._services.settings.checkpoint_text_limit,
        ).checkpoint()
        mirror.stope.version = mirror.stope.attempt = 1
        mirror.stope.started_at = mirror.stope.updated_at = timestamp()
        await jobs.write_checkpoint(run.run_id, 1, 1, mirror.model_dump(mode="json"))
        await jobs.finish_run(run.run_id, status, result=result)
        log.info("%s is taken over from the checkpoint of its pipeline", job.id)

    async def is_whole(self, stage: JobType, job: Job) -> bool:
        """Whether all is there that the result of a stage's job names; if not, that is said.

        Raises:
            ResumeError: it is not, and must be.
            TransientError: it cannot be seen just now.
        """
        result = job.result or {}
        record = await self._record(stage, job.id, result, None)
        if record is None:
            damage = [f"its result does not name what the step {stage.value} gives"]
        else:
            damage = await damage_in(self.job, record, result, self._artifacts, self._values)
        if not damage:
            return True
        by = await run_that_gave(self._services.jobs, job.id, self.run)
        # What was taken over has no units here: its run did nothing that could be counted.
        again = "made again from what is committed of it"
        if by is not None and by.metrics is None:
            again = "made anew: it was taken over, and nothing else of it is in these records"
        sentence = f"The result of {job.id} is not used: {'; '.join(damage)}."
        if self.job.options.strict_resume:
            raise ResumeError(f"{sentence} Run it with --no-strict-resume to have it {again}.")
        log.warning("%s It is %s.", sentence, again)
        self._notices += (f"{sentence} It is {again}.",)
        self._records.pop(stage.value, None)
        self.results.pop(stage.value, None)
        self._changed = True
        return False

    async def begin(self, stage: JobType, stage_job_id: str) -> None:
        """A stage is about to be done. What it gave before stands until it gives something else."""
        if stage.value in self._records:
            return
        self._live[stage.value] = StepSummary(
            status=StepStatus.IN_PROGRESS,
            started_at=timestamp(),
            attempt=await self._services.jobs.last_attempt(stage_job_id) + 1,
        )
        self._changed = True

    async def end(
        self, stage: JobType, stage_job_id: str, result: JsonObject, by: JobRun | None
    ) -> None:
        """A stage has its result, of a run of its own or (None) of whichever gave it before."""
        record = await self._record(stage, stage_job_id, result, by)
        names = [step.name for step in self.definition.steps]
        if self.results.get(stage.value) != result:
            # What the later ones gave was made of something else.
            after = names[names.index(stage.value) + 1 :]
            self._records = {k: v for k, v in self._records.items() if k not in after}
            self.results = {k: v for k, v in self.results.items() if k not in after}
        self._records.pop(stage.value, None)
        if record is not None:
            self._records[stage.value] = record
        self.results = self.results | {stage.value: result}
        self._changed = self._has_ended = True

    async def _record(
        self, stage: JobType, stage_job_id: str, result: JsonObject, by: JobRun | None
    ) -> StepRecord | None:
        known = self._records.get(stage.value)
        is_known = known is not None and known.identity == stage_job_id
        if by is None and is_known and self.results.get(stage.value) == result:
            return known
        by = by or await run_that_gave(self._services.jobs, stage_job_id, self.run)
        step = self.definition.step(stage.value)
        return None if by is None else stage_record(step, stage_job_id, result, by)

    async def note(self) -> None:
        """Write the checkpoint to the run, if anything has changed.

        When a stage has ended it must be there, and goes into the folder: by that another machine
        goes on. What begins is for people to see, and leaves the folder as it is: what is there
        may not fit, and be all that is known of hours of work.

        Raises:
            TransientError: it must be on the run, and is not.
            PermanentError: it must be, and the run has ended.
        """
        if not self._changed:
            return
        checkpoint = episode_checkpoint(
            self.job, self.run, self._records, self.results, notices=self._notices
        )
        checkpoint.steps_summary = checkpoint.steps_summary | self._live
        await self._file.write(
            checkpoint, needed=self._has_ended, file=self._has_ended, wait=not self._goes_at_once
        )

    @property
    def _goes_at_once(self) -> bool:
        """Whether the file is deleted as soon as the run is closed."""
        is_over = all(step.name in self.results for step in self.definition.steps)
        has_gaps = any(result.get("gaps") for result in self.results.values())
        return is_over and not has_gaps and not self.job.options.keep_checkpoint

    async def clean(self, status: JobStatus) -> None:
        """Delete the checkpoint file after a full success; inputs and outputs are not touched."""
        if status is JobStatus.SUCCEEDED and not self.job.options.keep_checkpoint:

            async def may(found: bytes | None) -> bool:
                return await is_over(self._services.jobs, self.run, found)

            await delete_file(self._services.artifacts, run_guid_of(self.job), may)
