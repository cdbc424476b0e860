"""The checkpoint of a pipeline: made from the records of its steps, written, read, checked."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from stope.artifacts import ArtifactStore
from stope.artifacts.named import May
from stope.errors import PermanentError, StopeError, TransientError, UsageError
from stope.identity import canonical_json
from stope.models.job import Job, JobRun, JobStatus, JsonObject
from stope.models.steps import (
    CHECKPOINT_VERSION,
    PipelineDefinition,
    StepCheckpoint,
    StepCheckpointMeta,
    StepRecord,
    StepStatus,
    StepSummary,
)
from stope.records.jobs import JobRecords
from stope.steps.identity import checkpoint_path, config_hash, input_hash, run_guid_of

log = logging.getLogger(__name__)

FILE_SECONDS = 10.0
"""Work does not wait longer for a checkpoint: the records have what it would say."""

OVER = (StepStatus.COMPLETED, StepStatus.SKIPPED)

CheckpointT = TypeVar("CheckpointT", bound=StepCheckpoint)


def checkpoint_of(
    job: Job,
    run: JobRun,
    definition: PipelineDefinition,
    records: Mapping[str, StepRecord],
    *,
    keys: Mapping[str, str],
    generation: str = "",
    notices: Iterable[str] = (),
) -> StepCheckpoint:
    """The checkpoint of a run whose steps, as far as they are over, left these records.

    Args:
        job: the run's job.
        run: the run; steps that an earlier one finished are skipped in it.
        definition: the pipeline.
        records: by step.
        keys: of the records, by step.
        generation: see ``StepCheckpointMeta``.
        notices: why the run began as it did.
    """
    given = [
        (step, records[step.name])
        for step in definition.steps
        if step.name in records and records[step.name].status is StepStatus.COMPLETED
    ]
    return StepCheckpoint(
        pipeline_name=definition.name,
        run_guid=run_guid_of(job),
        completed_steps=[step.name for step, _ in given],
        context={name: record.gives[name] for step, record in given for name in step.gives},
        steps_summary={
            step.name: _summary(records.get(step.name), run) for step in definition.steps
        },
        stope=StepCheckpointMeta(
            pipeline_version=definition.version,
            steps=tuple(step.name for step in definition.steps),
            flow=definition.flow,
            input_hash=input_hash(job),
            config_hash=config_hash(job),
            namespace=job.namespace,
            generation=generation,
            run_id=run.run_id,
            keys={step.name: keys[step.name] for step, _ in given},
            uses={step.name: record.uses for step, record in given if record.uses},
            gaps={step.name: record.gaps for step, record in given if record.gaps},
            notices=tuple(notices),
        ),
    )


def _summary(record: StepRecord | None, run: JobRun) -> StepSummary:
    if record is None:
        return StepSummary()
    was_kept = record.status is StepStatus.COMPLETED and record.run_id != run.run_id
    return StepSummary(
        status=StepStatus.SKIPPED if was_kept else record.status,
        started_at=record.started_at,
        finished_at=record.finished_at,
        duration=record.duration,
        attempt=record.attempt,
        error=record.error,
        metadata=record.metadata,
    )


def record_in(checkpoint: StepCheckpoint, step: str, identity: str) -> StepRecord | None:
    """The record of a completed step, out of a checkpoint; None where it does not say enough."""
    summary = checkpoint.steps_summary.get(step)
    definition = checkpoint.stope
    if step not in checkpoint.completed_steps or summary is None or summary.status not in OVER:
        return None
    if summary.started_at is None or summary.finished_at is None or summary.duration is None:
        return None
    return StepRecord(
        step=step,
        identity=identity,
        run_id=definition.run_id,
        attempt=summary.attempt,
        started_at=summary.started_at,
        finished_at=summary.finished_at,
        duration=summary.duration,
        uses=definition.uses.get(step, ""),
        metadata=summary.metadata,
        gaps=definition.gaps.get(step, ()),
    )


def parse(data: bytes) -> StepCheckpoint | None:
    """``parsed`` for a step pipeline."""
    return parsed(data, StepCheckpoint)


def parsed(data: bytes, form: type[CheckpointT]) -> CheckpointT | None:
    """The checkpoint in these bytes; None where it is none that this version can read."""
    try:
        return form.model_validate_json(data)
    except ValidationError:
        return None


def misfits(checkpoint: StepCheckpoint, definition: PipelineDefinition, job: Job) -> list[str]:
    """Why a checkpoint is not of this pipeline on this input with this config; empty if it is."""
    meta = checkpoint.stope
    steps = tuple(step.name for step in definition.steps)
    found: list[str] = []
    if checkpoint.checkpoint_version != CHECKPOINT_VERSION:
        found.append(
            f"it has the form {checkpoint.checkpoint_version!r}, and this version reads "
            f"{CHECKPOINT_VERSION!r}"
        )
    if checkpoint.pipeline_name != definition.name:
        found.append(f"it is of the pipeline {checkpoint.pipeline_name!r}")
    if meta.pipeline_version != definition.version:
        found.append(
            f"it is of version {meta.pipeline_version} of the pipeline, which is "
            f"{definition.version} now"
        )
    if meta.steps != steps:
        found.append(
            f"it has the steps {', '.join(meta.steps) or 'of nobody'}; there are "
            f"{', '.join(steps)} now"
        )
    elif meta.flow != definition.flow:
        found.append("its steps need and give other things than they do now")
    unknown = [name for name in checkpoint.completed_steps if name not in steps]
    if unknown and meta.steps == steps:
        found.append(f"it says that {', '.join(unknown)} is complete, which is none of its steps")
    if meta.input_hash != input_hash(job):
        found.append("it is of another input")
    if meta.config_hash != config_hash(job):
        found.append("it is of another config")
    return found


def ended(body: JsonObject, status: JobStatus, message: str, at: str) -> None:
    """Say in a checkpoint that the step in progress ended with the run: failed or cancelled."""
    summary = body.get("steps_summary")
    for step in summary.values() if isinstance(summary, dict) else ():
        if isinstance(step, dict) and step.get("status") == StepStatus.IN_PROGRESS.value:
            failed = status is JobStatus.FAILED
            step["status"] = (StepStatus.FAILED if failed else StepStatus.CANCELLED).value
            step["error"] = step.get("error") or message
            step["finished_at"] = at


class CheckpointFile:
    """Writes a run's checkpoint to both of its places. A failed write warns, and work goes on.

    Args:
        artifacts: the store with the run's folder.
        jobs: the records with the run.
        run: the run, as it stands. Whoever opens one later is newer: a late writer of an older
            attempt is refused by the records.
    """

    def __init__(self, artifacts: ArtifactStore, jobs: JobRecords, run: JobRun) -> None:
        self._artifacts = artifacts
        self._jobs = jobs
        self._run_id = run.run_id
        meta = _meta_of(run.checkpoint)
        self._started_at = meta.started_at
        self._attempt, self._version = meta.attempt + 1, meta.version

    async def write(
        self,
        checkpoint: StepCheckpoint,
        *,
        needed: bool = False,
        file: bool = True,
        wait: bool = True,
    ) -> None:
        """Stamp the checkpoint and write it. A run that has ended keeps what it has.

        Args:
            checkpoint: where the run stands.
            needed: later steps read it on the run, so it must be written there.
            file: into the folder, too. Without that it is for people to see, and may be forgotten
                when the machine goes down.
            wait: for the file, too; else it is written while the work goes on.

        Raises:
            RecordsBusyError: it is needed, and cannot be written.
            PermanentError: it is needed, and the run has ended.
            TransientError: it is needed, and somebody else has written a newer one.
        """
        self._version += 1
        now = timestamp()
        meta = checkpoint.stope
        meta.version, meta.attempt, meta.updated_at = self._version, self._attempt, now
        self._started_at = meta.started_at = self._started_at or now
        body = checkpoint.model_dump(mode="json")
        try:
            is_newer = await self._jobs.write_checkpoint(
                *(self._run_id, self._attempt, self._version, body),
                unless_ended=True,
                durable=needed or file,
            )
        except StopeError as error:
            if needed:
                raise
            # Nor is the file: the next one that is mirrored may have the same number.
            log.warning("the checkpoint of run %s was not mirrored: %s", self._run_id, error)
            return
        if needed and not is_newer:
            raise await self._refused()
        if not is_newer:
            # Somebody took us for dead, and the file is theirs, or gone with a success.
            log.info("the run %s has a newer checkpoint; this one is not written", self._run_id)
            return
        if file:
            await write_file(self._artifacts, body, only_newer(self._jobs, body), wait=wait)

    async def _refused(self) -> StopeError:
        """Why a checkpoint was not written that had to be."""
        standing = await self._jobs.standing(self._run_id)
        if standing is not None and standing.status.finished:
            return PermanentError(
                f"The run {self._run_id} was {standing.status.value} before this was noted; "
                "`stope resume` of its job goes on with what is committed."
            )
        return TransientError(
            f"Somebody else wrote the checkpoint of the run {self._run_id} at the same time; it is "
            "read and written again."
        )


async def write_file(
    artifacts: ArtifactStore, body: JsonObject, may: May | None = None, *, wait: bool = True
) -> None:
    """Write a checkpoint into its run's folder; a failure is logged.

    Of the writes of one process none arrives after a later one, nor after ``delete_file``; of
    several processes, where ``may`` says so.
    """
    path = checkpoint_path(str(body["run_guid"]))
    data = canonical_json(body).encode()
    try:
        await artifacts.replace_named(path, data, seconds=FILE_SECONDS if wait else 0, may=may)
    except (StopeError, TimeoutError) as error:
        if not wait and isinstance(error, TimeoutError):
            return
        reason = str(error) or "the store does not answer"
        log.warning("the checkpoint %s was not written; work goes on: %s", path, reason)


def only_newer(jobs: JobRecords, body: JsonObject) -> May:
    """That a checkpoint is not put in the place of a newer one, nor back after the clean-up.

    What other runs have written in the same folder is replaced by a run that is at work, once it
    has completed a step if they had.
    """
    ours = _meta_of(body)

    async def may(found: bytes | None) -> bool:
        if found is not None:
            other = _object_in(found) or {}
            there = _meta_of(other)
            if there.run_id == ours.run_id:
                return (there.attempt, there.version) < (ours.attempt, ours.version)
            if other.get("completed_steps") and not body.get("completed_steps"):
                # It may be the only word of hours of work, and there is nothing better yet.
                return False
        return await _is_newest(jobs, ours)

    return may


async def _is_newest(jobs: JobRecords, ours: StepCheckpointMeta) -> bool:
    """Whether the records have nothing newer than a checkpoint, and have not cleaned it up."""
    now = await jobs.standing(ours.run_id)
    if now is None or not now.is_newest:
        return False
    if (now.attempt, now.version) > (ours.attempt, ours.version):
        return False
    if now.status is not JobStatus.SUCCEEDED:
        return True
    run = await jobs.get_run(ours.run_id)
    return (await jobs.get(run.job_id)).options.keep_checkpoint


def _object_in(data: bytes) -> JsonObject | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


async def is_over(jobs: JobRecords, run: JobRun, found: bytes | None) -> bool:
    """Whether a checkpoint may go with the success of a run: not where it is of a later one.

    Nor that of another job, to which somebody gave the same run id. What is of a run that these
    records do not know was continued by this one.
    """
    other = _meta_of(_object_in(found or b"")).run_id
    if other in ("", run.run_id):
        return True
    try:
        its = await jobs.get_run(other)
    except UsageError:
        return True
    return its.job_id == run.job_id and its.attempt < run.attempt


async def delete_file(artifacts: ArtifactStore, run_guid: str, may: May | None = None) -> None:
    """Delete the checkpoint of a run that has succeeded; a failure is logged.

    ``may`` says of what is there whether it is the run's to delete.
    """
    path = checkpoint_path(run_guid)
    try:
        if may is not None:
            async with asyncio.timeout(FILE_SECONDS):
                found = await artifacts.read_named(path)
            if not await may(found):
                log.info("the checkpoint %s is of another run by now, and stays", path)
                return
        await artifacts.replace_named(path, None, seconds=FILE_SECONDS)
    except (StopeError, TimeoutError) as error:
        reason = str(error) or "the store does not answer"
        log.warning("the checkpoint %s of a finished run stays: %s", path, reason)


def timestamp() -> str:
    """Now, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _meta_of(body: JsonObject | None) -> StepCheckpointMeta:
    try:
        return StepCheckpointMeta.model_validate((body or {}).get("stope") or {})
    except ValidationError:
        # Somebody's own checkpoint may say anything.
        return StepCheckpointMeta()
