"""The steps of an episode: stages with jobs of their own, kept and found as those of any pipeline.

What a stage gave is the result of its job, and the job's id is the digest of everything that
decides it: that is the step's key. So a run needs no generation. Where a checkpoint does not fit,
nothing of it is used, and each stage answers from its own job or is done.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel

from stope.artifacts import ArtifactStore
from stope.errors import ResumeError
from stope.following import stage_job_id
from stope.models.job import InputKind, Job, JobInput, JobRun, JobStatus, JobType, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.route import HANDED_ON, episode_of, handed_to, stages_of
from stope.models.steps import (
    EpisodeCheckpoint,
    PipelineDefinition,
    StepDefinition,
    StepRecord,
    StepStatus,
)
from stope.models.transcript import Transcript
from stope.records.jobs import JobRecords
from stope.records.kept import digests_in
from stope.stage import resumed_checkpoint
from stope.steps.checkpoint import checkpoint_of, record_in
from stope.steps.codecs import ModelCodec
from stope.steps.identity import run_guid_of
from stope.steps.opening import damage_of, not_used, read_kept
from stope.steps.store import REFERENCE, ValueStore, referred
from stope.steps.uses import lost_uses

log = logging.getLogger(__name__)

KINDS: Mapping[str, type[BaseModel]] = {
    InputKind.TRANSCRIPT.value: Transcript,
    InputKind.CLAIMS.value: MinedClaims,
    InputKind.KNOWLEDGE.value: Knowledge,
}
"""What passes through the stages, by its name in the context."""

_FIELDS = {kind.value: name for kind, name in HANDED_ON.values()}


def shown_in(body: JsonObject | None, run_guid: str = "") -> EpisodeCheckpoint:
    """The checkpoint on an episode's run; an empty one where there is none, or somebody's own.

    One that says nothing of steps, from before they were noted, keeps what it says of stages.
    """
    fresh = EpisodeCheckpoint(pipeline_name=JobType.PIPELINE.value, run_guid=run_guid)
    return resumed_checkpoint(fresh.model_dump(mode="json") | (body or {}), fresh)


def stage_record(
    step: StepDefinition, job_id: str, result: JsonObject, by: JobRun
) -> StepRecord | None:
    """What a stage gave, as the record of a step; None where its result does not name it.

    Args:
        step: the stage, as a step.
        job_id: of the stage's job.
        result: the job's.
        by: the run that gave it. The record is of the pipeline's run that it was a part of.
    """
    gives = _gives(step, result)
    if gives is None:
        return None
    ended = by.finished_at or by.created_at
    return StepRecord(
        step=step.name,
        identity=job_id,
        run_id=by.pipeline_run_id or by.run_id,
        attempt=by.attempt,
        started_at=_timestamp(by.created_at),
        finished_at=_timestamp(ended),
        duration=max(0.0, round((ended - by.created_at).total_seconds(), 3)),
        gives=gives,
        metadata={"output_id": result.get("output_id")} | (by.metrics or {}),
    )


async def run_that_gave(jobs: JobRecords, stage_job_id: str, run: JobRun) -> JobRun | None:
    """The run that gave a stage's result: of this run of the pipeline, else the newest; or None.

    It comes without its checkpoint.
    """
    runs = await jobs.runs(stage_job_id, mirrors=False)
    runs = [one for one in runs if one.status.has_result]
    own = [one for one in runs if one.pipeline_run_id == run.run_id]
    return next(reversed(own or runs), None)


def episode_checkpoint(
    job: Job,
    run: JobRun,
    records: Mapping[str, StepRecord],
    results: Mapping[str, JsonObject],
    *,
    notices: Iterable[str] = (),
) -> EpisodeCheckpoint:
    """The checkpoint of an episode whose finished stages left these records and final results."""
    definition = episode_of(job)
    keys = {name: record.identity for name, record in records.items()}
    of_steps = checkpoint_of(job, run, definition, records, keys=keys, notices=notices)
    stages = [step.name for step in definition.steps if step.name in results]
    return EpisodeCheckpoint(
        **dict(of_steps),
        completed_stages=stages,
        results={stage: results[stage] for stage in stages},
    )


def records_in(
    checkpoint: EpisodeCheckpoint, definition: PipelineDefinition
) -> dict[str, StepRecord]:
    """The records of the steps that a checkpoint has as complete, by step."""
    found: dict[str, StepRecord] = {}
    for step in definition.steps:
        key = checkpoint.stope.keys.get(step.name)
        record = None if key is None else record_in(checkpoint, step.name, key)
        if record is None or any(name not in checkpoint.context for name in step.gives):
            continue
        changes: dict[str, object] = {
            "gives": {name: checkpoint.context[name] for name in step.gives}
        }
        if checkpoint.steps_summary[step.name].status is StepStatus.SKIPPED:
            # Not by the run that wrote the checkpoint.
            changes["run_id"] = ""
        found[step.name] = record.model_copy(update=changes)
    return found


@dataclass
class Kept:
    """What is kept of an episode's run. ``results`` are final results; both are by stage."""

    records: dict[str, StepRecord] = field(default_factory=dict)
    results: dict[str, JsonObject] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


async def kept_of(job: Job, artifacts: ArtifactStore, values: ValueStore, *, strict: bool) -> Kept:
    """What the checkpoint in a run's folder says is finished, checked.

    Args:
        job: the episode's, in the run's namespace.
        artifacts: on behalf of the run.
        values: over the same store.
        strict: what is there has to fit.

    Raises:
        ResumeError: something does not fit, and must.
        TransientError: it cannot be seen just now.
    """
    definition = episode_of(job)
    checkpoint, problems = await read_kept(artifacts, job, definition, EpisodeCheckpoint)
    kept = Kept()
    if problems:
        return Kept(notices=(not_used(job, problems, strict=strict),))
    if checkpoint is not None:
        records = records_in(checkpoint, definition)
        source: JobInput | None = job.input
        for stage in stages_of(job.input.kind, job.config):
            record, result = records.get(stage.value), checkpoint.results.get(stage.value)
            if stage is job.options.redo_from or record is None or result is None:
                break
            if stage.value != definition.steps[0].name:
                source = handed_to(stage, parts_of(kept.results), artifacts.uri)
            if source is None or record.identity != stage_job_id(stage, source, job.config):
                why = "which was made with other prompts or schemas than there are now"
                kept.notices = (_used_up_to(job, stage, why, strict=strict),)
                break
            problems = _contradictions(definition.step(stage.value), record, result)
            problems = problems or await damage_in(job, record, result, artifacts, values)
            if problems and not kept.records:
                return Kept(notices=(not_used(job, problems, strict=strict),))
            if problems:
                why = f"which cannot be used: {'; '.join(problems)}"
                kept.notices = (_used_up_to(job, stage, why, strict=strict),)
                break
            kept.records[stage.value], kept.results[stage.value] = record, result
    return kept


def _contradictions(step: StepDefinition, record: StepRecord, result: JsonObject) -> list[str]:
    """What of a final result is none, or of something else than the step's record is."""
    statuses = {status.value for status in JobStatus if status.has_result}
    if result.get("status") not in statuses or not isinstance(result.get("output_id"), str):
        return [f"what it says of the step {step.name} is no result"]
    gives = _gives(step, result) or {}
    if any(referred(gives.get(name)) != referred(record.gives[name]) for name in step.gives):
        return [f"the result of the step {step.name} names other things than the step gave"]
    return []


async def damage_in(
    job: Job, record: StepRecord, result: JsonObject, artifacts: ArtifactStore, values: ValueStore
) -> list[str]:
    """What of the artifacts that a stage's result names is gone or damaged.

    Raises:
        TransientError: whether they are there cannot be seen just now.
    """
    kinds = {name: KINDS[name] for name in episode_of(job).step(record.step).gives}
    found = await damage_of(record, kinds, values, artifacts)
    read = {digest for entry in record.gives.values() if (digest := referred(entry))}
    beside = digests_in(json.dumps(result)) - digests_in(job.input.digest) - read
    lost = await lost_uses(artifacts, sorted(beside))
    return [
        *found,
        *(
            f"what the step {record.step} names, {artifacts.uri(digest)}, is gone"
            for digest in lost
        ),
    ]


def parts_of(results: Mapping[str, JsonObject]) -> JsonObject:
    """What stages gave together: the ``result`` parts of their final results."""
    merged: JsonObject = {}
    for result in results.values():
        parts = result.get("result")
        merged |= parts if isinstance(parts, dict) else {}
    return merged


def _gives(step: StepDefinition, result: JsonObject) -> dict[str, object] | None:
    """What a stage gives, as it stands in a context."""
    parts = result.get("result")
    named = {
        name: (parts if isinstance(parts, dict) else {}).get(_FIELDS[name]) for name in step.gives
    }
    if not all(isinstance(digest, str) for digest in named.values()):
        return None
    return {name: {REFERENCE: digest, "type": ModelCodec.tag} for name, digest in named.items()}


def _used_up_to(job: Job, stage: JobType, why: str, *, strict: bool) -> str:
    """Say why a step, and what follows it, is not used.

    Raises:
        ResumeError: it must be.
    """
    sentence = (
        f"What is kept of the run {run_guid_of(job)} is used only up to the step {stage.value}, "
        f"{why}."
    )
    if strict:
        raise ResumeError(
            f"{sentence} Run it with --no-strict-resume to make that anew, or give another "
            "--run-guid."
        )
    log.warning("%s", sentence)
    return sentence


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
