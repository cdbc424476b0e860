"""What a run of a pipeline has to do: found from its checkpoint and its committed records.

The checkpoint in the run's folder is found from any machine, also one with other records; what it
says is complete is taken over. Where it does not fit what is asked for now, or something that it
names is damaged, that is said and nothing of it is used. What cannot be reached is no reason for
either: it is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, ResumeError
from stope.identity import digest_of
from stope.models.job import Job
from stope.models.steps import PipelineDefinition, StepCheckpoint, StepRecord
from stope.steps.checkpoint import CheckpointT, misfits, parsed, record_in
from stope.steps.definition import Step, StepPipeline
from stope.steps.identity import checkpoint_path, run_guid_of, step_identity
from stope.steps.store import ValueStore
from stope.steps.uses import hold_uses, lost_uses
from stope.units import UnitStore, stored_plan

log = logging.getLogger(__name__)

RECORD_STAGE = "steps"
"""The stage of the units that are records of steps."""


@dataclass
class Opened:
    """What is there of a run. ``again`` is to be done another time if its record has gaps."""

    records: dict[str, StepRecord] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    generation: str = ""
    again: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Opening:
    """Looks for what is kept of a run.

    Args:
        job: the run's job, in the run's namespace.
        pipeline: which is to run.
        artifacts: on behalf of the run.
        units: on behalf of the run.
        values: of this process.
    """

    def __init__(
        self,
        job: Job,
        pipeline: StepPipeline,
        artifacts: ArtifactStore,
        units: UnitStore,
        values: ValueStore,
    ) -> None:
        self._job = job
        self._pipeline = pipeline
        self._artifacts = artifacts
        self._units = units
        self._values = values

    async def open(self, *, retry_gaps: bool, strict: bool) -> Opened:
        """What is finished, checked.

        Raises:
            ResumeError: something does not fit, and ``strict`` says that it must.
            TransientError: it cannot be seen just now.
        """
        await stored_definition(self._units, self._pipeline.definition)
        kept, problems = await read_kept(
            self._artifacts, self._job, self._pipeline.definition, StepCheckpoint
        )
        notices: list[str] = []
        generation = kept.stope.generation if kept is not None else ""
        while True:
            if problems:
                notices.append(not_used(self._job, problems, strict=strict))
                # Made from the reasons, so that the next attempt finds what this one does.
                generation = digest_of([generation, problems])[:12]
                kept = None
            found, problems = await self._records(kept, generation, retry_gaps=retry_gaps)
            if not problems:
                found.notices = tuple(notices)
                return found

    async def _records(
        self, kept: StepCheckpoint | None, generation: str, *, retry_gaps: bool
    ) -> tuple[Opened, list[str]]:
        """The records of finished steps, and what of theirs is damaged."""
        found = Opened(generation=generation)
        context: dict[str, object] = {}
        problems: list[str] = []
        for step in self._pipeline.steps:
            if any(name not in context for name in step.needs):
                continue
            identity = step_identity(
                self._job, self._pipeline.definition, step, context, generation
            )
            key, record = await self._record(kept, step, identity, context)
            if record is None:
                continue
            if retry_gaps and record.gaps:
                continue
            await self._units.use("unit", {step.name: key})
            problems += await damage_of(record, step.gives, self._values, self._artifacts)
            found.records[step.name], found.keys[step.name] = record, key
            context |= record.gives
        if retry_gaps:
            # What a step that is done again gives may be what it gave: those after it have records
            # then, with gaps of their own.
            found.again = tuple(
                step.name for step in self._pipeline.steps if step.name not in found.records
            )
        return found, problems

    async def _record(
        self,
        kept: StepCheckpoint | None,
        step: Step,
        identity: str,
        context: dict[str, object],
    ) -> tuple[str, StepRecord | None]:
        """A step's record and its key: committed, or else taken over from the checkpoint."""
        remembered = kept.stope.keys.get(step.name) if kept is not None else None
        keys = [key for key in (remembered, identity) if key is not None]
        stored = await self._units.read_outputs(keys)
        for key in keys:
            if key in stored:
                record = StepRecord.model_validate_json(stored[key])
                if record.identity == identity:
                    return key, record
        taken = _taken_over(kept, step, identity, context)
        if taken is None:
            return identity, None
        await self._units.commit(identity, RECORD_STAGE, taken.model_dump_json(), taken.duration)
        return identity, taken


async def read_kept(
    artifacts: ArtifactStore, job: Job, definition: PipelineDefinition, form: type[CheckpointT]
) -> tuple[CheckpointT | None, list[str]]:
    """The checkpoint in a run's folder, if there is any, and why it does not fit.

    Raises:
        TransientError: whether there is one cannot be seen just now.
    """
    data = await artifacts.read_named(checkpoint_path(run_guid_of(job)))
    if data is None:
        return None, []
    found = parsed(data, form)
    if found is None:
        return None, ["its checkpoint is none that this version can read"]
    if found.stope.namespace != job.namespace:
        # The job is to be made afresh: what was before is not asked for.
        return None, []
    return found, misfits(found, definition, job)


def not_used(job: Job, problems: Sequence[str], *, strict: bool) -> str:
    """Say why a run starts afresh; the sentence is for its checkpoint, too.

    Raises:
        ResumeError: it must not.
    """
    sentence = f"What is kept of the run {run_guid_of(job)} is not used: {'; '.join(problems)}."
    if strict:
        raise ResumeError(
            f"{sentence} Run it with --no-strict-resume to start afresh, or give another "
            "--run-guid."
        )
    log.warning("%s The run starts afresh.", sentence)
    return f"{sentence} It starts afresh."


async def damage_of(
    record: StepRecord, kinds: Mapping[str, type], values: ValueStore, artifacts: ArtifactStore
) -> list[str]:
    """What of the values that a step gave, and of what they name, is gone or damaged.

    Args:
        record: of the step.
        kinds: the types of what it is to give, by name.
        values: where they are.
        artifacts: the same store.

    Raises:
        TransientError: whether they are there cannot be seen just now.
    """
    if set(record.gives) != set(kinds):
        return [f"the step {record.step} gave other names than it declares"]
    found: list[str] = []
    for name, kind in kinds.items():
        try:
            await values.check(name, record.gives[name], kind)
        except ArtifactError as error:
            found.append(f"{name} of the step {record.step}: {str(error).partition(';')[0]}")
    try:
        lost = await lost_uses(artifacts, await hold_uses(artifacts, record))
    except ArtifactError as error:
        found.append(f"what the step {record.step} names: {str(error).partition(';')[0]}")
    else:
        if lost:
            found.append(
                f"{len(lost)} of the artifacts that the step {record.step} names are gone, such "
                f"as {artifacts.uri(lost[0])}"
            )
    return found


def _taken_over(
    kept: StepCheckpoint | None, step: Step, identity: str, context: dict[str, object]
) -> StepRecord | None:
    """The record of a step as a checkpoint has it, if it worked on what there is now."""
    if kept is None or any(name not in kept.context for name in step.gives):
        return None
    if any(kept.context.get(name) != context[name] for name in step.needs):
        return None
    record = record_in(kept, step.name, identity)
    if record is None:
        return None
    return record.model_copy(update={"gives": {name: kept.context[name] for name in step.gives}})


async def stored_definition(units: UnitStore, definition: PipelineDefinition) -> None:
    """Store how a pipeline is declared, as the plan of its runs."""

    async def make() -> PipelineDefinition:
        return definition

    key = digest_of(["definition", definition.fingerprint])
    await stored_plan(units, key, RECORD_STAGE, PipelineDefinition, make)


async def read_records(units: UnitStore, keys: Sequence[str]) -> dict[str, StepRecord]:
    """The records under these keys, by step."""
    stored = await units.read_outputs(keys)
    records = (StepRecord.model_validate_json(stored[key]) for key in keys if key in stored)
    return {record.step: record for record in records}
