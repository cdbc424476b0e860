"""The checkpoint of a run, made again from what is committed: units, plans, artifacts, results.

What a run needs has its name in ``run_use``, so every stage's plan and units are found without
asking an engine. A checkpoint made here says what is there; the mirror of a run at work may be a
second behind it, and is never ahead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError
from stope.flagship import merging
from stope.flagship.batches import BatchPlan
from stope.flagship.ranking import verdict_without_model
from stope.mining.segments import SegmentPlan
from stope.mining.stage import NAMES
from stope.models.audio import ChunkPlan
from stope.models.checkpoint import (
    Checkpoint,
    CheckpointError,
    FlagshipCheckpoint,
    MineCheckpoint,
    TranscribeCheckpoint,
    UploadCheckpoint,
)
from stope.models.gap import Gap
from stope.models.job import Job, JobInput, JobRun, JobStatus, JobType, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.route import EPISODE, handed_to, stages_of
from stope.models.steps import (
    EpisodeCheckpoint,
    PipelineDefinition,
    StepCheckpoint,
    StepRecord,
)
from stope.models.transcript import RecordingLanguage, Transcript
from stope.models.upload import UploadPlan
from stope.records.uses import Use
from stope.stage import percent
from stope.steps.checkpoint import checkpoint_of
from stope.steps.episode import episode_checkpoint, stage_record
from stope.steps.identity import run_guid_of
from stope.steps.opening import RECORD_STAGE

ModelT = TypeVar("ModelT", bound=BaseModel)

FindStage = Callable[[Job, JobType, JsonObject], Awaitable[Job | None]]
"""The job of a pipeline's stage, given what the stages before it gave."""

FindRun = Callable[[str, JobRun], Awaitable[JobRun | None]]
"""The run that gave the result of a stage's job, by its id and the pipeline's run."""


async def _no_stage(_pipeline: Job, _stage: JobType, _given: JsonObject) -> Job | None:
    """Of a job that is no pipeline."""
    return None


async def _no_run(_stage_job_id: str, _run: JobRun) -> JobRun | None:
    """Of a job that is no pipeline."""
    return None


@dataclass
class Committed:
    """What is there of a run. ``outputs`` and ``plans`` are JSON by key."""

    units: list[Use] = field(default_factory=list)
    plans: list[Use] = field(default_factory=list)
    artifacts: list[Use] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The named units, with or without output."""
        return {use.name for use in self.units if use.name}

    @property
    def done(self) -> set[str]:
        """The named units that have an output."""
        return {use.name for use in self.units if use.name and use.key in self.outputs}

    @property
    def count(self) -> int:
        """How many units have an output, as a stage counts them."""
        keys = {use.key for use in self.units if use.name and use.key in self.outputs}
        return max(len(self.done), len(keys))

    def plan(self, model: type[ModelT]) -> ModelT | None:
        """The stored plan of a kind; None if it is not there."""
        for use in self.plans:
            if use.name == model.__name__ and use.key in self.bodies:
                return model.model_validate_json(self.bodies[use.key])
        return None

    def output(self, name: str, model: type[ModelT]) -> ModelT | None:
        """The output of a unit; None if it has none."""
        for use in self.units:
            if use.name == name and use.key in self.outputs:
                return model.model_validate_json(self.outputs[use.key])
        return None


class Rebuilder:
    """Makes checkpoints of one run.

    Args:
        job: the run's job.
        run: the run; its checkpoint is not looked at.
        committed: what is there of it.
        artifacts: where large results are.
        text_limit: bytes of transcript that a checkpoint holds at most.
        find_stage: for pipelines.
        find_run: for pipelines.
    """

    def __init__(
        self,
        job: Job,
        run: JobRun,
        committed: Committed,
        artifacts: ArtifactStore,
        text_limit: int,
        find_stage: FindStage = _no_stage,
        find_run: FindRun = _no_run,
    ) -> None:
        self._job = job
        self._run = run
        self._committed = committed
        self._artifacts = artifacts
        self._text_limit = text_limit
        self._find_stage = find_stage
        self._find_run = find_run
        self._result = job.result if run.status.has_result else None

    async def checkpoint(self) -> Checkpoint:
        """What is committed, as the documented record.

        Raises:
            ArtifactError: an artifact that the run worked on, or gave, is gone or damaged.
        """
        making: dict[JobType, Callable[[], Awaitable[Checkpoint]]] = {
            JobType.TRANSCRIBE: self._transcribe,
            JobType.MINE: self._mine,
            JobType.FLAGSHIP: self._flagship,
            JobType.UPLOAD: self._upload,
            JobType.PIPELINE: self._pipeline,
            JobType.STEPS: self._steps,
        }
        found = await making[self._job.type]()
        if self._run.error_code and self._run.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            ended = self._run.finished_at or self._run.created_at
            found.stope.error = CheckpointError(
                type=self._run.error_code,
                message=self._run.error_message or "",
                stage=str(getattr(found, "stage", "")),
                at=ended.isoformat(timespec="milliseconds"),
            )
        if self._run.status is JobStatus.FAILED and hasattr(found, "stage"):
            found.stage = "failed"
        return found

    def _parts(self) -> JsonObject:
        parts = (self._result or {}).get("result")
        return parts if isinstance(parts, dict) else {}

    async def _transcribe(self) -> TranscribeCheckpoint:
        found = TranscribeCheckpoint(
            file_path=self._job.input.path, final_result=self._result, stage="validating"
        )
        plan = self._committed.plan(ChunkPlan)
        if plan is not None:
            found.stage, found.duration = "transcribing", round(plan.duration, 3)
        if language := self._committed.plan(RecordingLanguage):
            found.language = language.language
        digest, transcript = await self._transcript()
        if digest is not None and transcript is not None:
            found.stage = "completed" if self._result else "diarizing"
            found.transcript_path = self._artifacts.uri(digest)
            found.language = transcript.language
            if len(transcript.text.encode()) <= self._text_limit:
                found.transcript_text = transcript.text
            else:
                found.stope.transcript_text_omitted = True
        return found

    async def _transcript(self) -> tuple[str | None, Transcript | None]:
        """The transcript that the run gave, else the last that it stored on the way."""
        digest = self._parts().get("transcript_digest")
        if isinstance(digest, str):
            return digest, await self._artifacts.get_model(digest, Transcript)
        stored: list[tuple[str, Transcript]] = []
        for use in self._committed.artifacts:
            if use.name == Transcript.__name__:
                try:
                    transcript = await self._artifacts.get_model(use.key, Transcript)
                except ArtifactError:
                    # It is noted before it is stored: the run may have ended in between.
                    continue
                stored.append((use.key, transcript))
        # The one with speakers came last.
        return max(stored, key=lambda one: _has_speakers(one[1]), default=(None, None))

    async def _mine(self) -> MineCheckpoint:
        found = MineCheckpoint(final_result=self._result)
        plan = self._committed.plan(SegmentPlan)
        if plan is not None:
            done = self._committed.done
            named = [(segment.id, segment.id + NAMES) for segment in plan.segments]
            found.stage = "mining"
            found.total_segments = len(plan.segments)
            found.completed_segments = [ids[0] for ids in named if done.issuperset(ids)]
            found.progress_percent = percent(
                sum(name in done for ids in named for name in ids), 2 * len(named)
            )
        if self._result:
            found.stage = "completed"
        return found

    async def _flagship(self) -> FlagshipCheckpoint:
        found = FlagshipCheckpoint(final_result=self._result)
        mined = await self._artifacts.get_model(self._job.input.digest, MinedClaims)
        found.total_claims = len(mined.claims)
        ended = self._decided(mined)
        found.stage = "evaluating" if self._committed.plans else "loading"
        if self._result:
            found.stage = "completed"
            knowledge = await self._artifacts.get_model(
                str(self._parts()["knowledge_digest"]), Knowledge
            )
            ended = {judged.claim.id for judged in knowledge.claims}
        found.completed_claims = [claim.id for claim in mined.claims if claim.id in ended]
        found.progress_percent = percent(len(found.completed_claims), len(mined.claims))
        return found

    def _decided(self, mined: MinedClaims) -> set[str]:
        """The claims that have a verdict, or a batch with the model's answer."""
        ended = {claim.id for claim in mined.claims if verdict_without_model(claim) is not None}
        plan = self._committed.plan(merging.MergePlan)
        phases = {use.name for use in self._committed.plans}
        if plan is not None and "SplitPlan" in phases:
            undecided = [claim for claim in mined.claims if claim.id not in ended]
            equal = merging.merge_equal(undecided)
            same = [
                pair
                for group in plan.groups
                if (verdicts := self._committed.output(group.id, merging.PairVerdicts))
                for pair, likeness in zip(group.pairs, verdicts.verdicts, strict=True)
                if likeness is merging.Likeness.SAME
            ]
            ended |= equal.merged.keys() | merging.merge_pairs(equal.kept, same).merged.keys()
        if batches := self._committed.plan(BatchPlan):
            for batch in batches.batches:
                ended |= set(batch.claim_ids) if batch.id in self._committed.done else set()
        return ended

    async def _upload(self) -> UploadCheckpoint:
        found = UploadCheckpoint(final_result=self._result)
        plan = self._committed.plan(UploadPlan)
        if plan is not None:
            lost = {gap.unit_id for gap in gaps_of(self._result)}
            done = self._committed.done
            found.stage, found.total_items = "uploading", len(plan.items)
            names = [item.name for item in plan.items]
            found.completed_items = [name for name in names if name in done and name not in lost]
            found.progress_percent = percent(sum(name in done for name in names), len(names))
        if self._result:
            found.stage = "completed"
        return found

    async def _pipeline(self) -> EpisodeCheckpoint:
        results: dict[str, JsonObject] = {}
        records: dict[str, StepRecord] = {}
        given: JsonObject = {}
        for stage in stages_of(self._job.input.kind, self._job.config):
            job = await self._find_stage(self._job, stage, given)
            if job is None or not job.status.has_result or job.result is None:
                break
            results[stage.value] = job.result
            by = await self._find_run(job.id, self._run)
            step = EPISODE.step(stage.value)
            record = None if by is None else stage_record(step, job.id, job.result, by)
            if record is not None:
                records[stage.value] = record
            parts = job.result.get("result")
            given = parts if isinstance(parts, dict) else {}
        return episode_checkpoint(self._job, self._run, records, results)

    async def _steps(self) -> StepCheckpoint:
        definition = self._committed.plan(PipelineDefinition)
        if definition is None:
            return StepCheckpoint(
                pipeline_name=self._job.config.pipeline, run_guid=run_guid_of(self._job)
            )
        records: dict[str, StepRecord] = {}
        keys: dict[str, str] = {}
        for use in self._committed.units:
            if use.stage != RECORD_STAGE or use.key not in self._committed.outputs:
                continue
            record = StepRecord.model_validate_json(self._committed.outputs[use.key])
            if use.name == record.step:
                records[use.name], keys[use.name] = record, use.key
        return checkpoint_of(self._job, self._run, definition, records, keys=keys)


def stage_input(
    pipeline: Job, stage: JobType, given: JsonObject, artifacts: ArtifactStore
) -> JobInput | None:
    """What a pipeline's stage works on; None if the stage before it did not give that."""
    if stage is stages_of(pipeline.input.kind, pipeline.config)[0]:
        return pipeline.input
    return handed_to(stage, given, artifacts.uri)


def _has_speakers(transcript: Transcript) -> bool:
    return any(utterance.speaker for utterance in transcript.utterances)


def gaps_of(result: JsonObject | None) -> list[Gap]:
    """The gaps that a result names."""
    gaps = (result or {}).get("gaps", [])
    return [Gap.model_validate(gap) for gap in gaps] if isinstance(gaps, list) else []
