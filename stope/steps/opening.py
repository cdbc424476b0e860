"""What a run of a step pipeline has to do: found from its checkpoint and its committed records.

The checkpoint in the run's folder is found from any machine, also one with other records; what it
says is complete is taken over. Where it does not fit what is asked for now, or something that it
names is damaged, that is said and nothing of it is used. What cannot be reached is no reason for
either: it is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from stope.artifacts import ArtifactStore
from stope.errors import ArtifactError, ResumeError
from stope.identity import digest_of
from stope.models.job import Job
from stope.models.steps import PipelineDefinition, StepCheckpoint, StepRecord
from stope.steps.checkpoint import misfits, parse, record_in
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
        kept, problems = await self._checkpoint()
        notices: list[str] = []
        generation = kept.stope.generation if kept is not None else ""
        while True:
            if problems:
                sentence = (
                    f"What is kept of the run {run_guid_of(self._job)} is not used: "
                    f"{'; '.join(problems)}."
                )
                if strict:
                    raise ResumeError(
                        f"{sentence} Run it with --no-strict-resume to start afresh, or give "
                        "another --run-guid."
                    )
                log.warning("%s The run starts afresh.", sentence)
                notices.append(f"{sentence} It starts afresh.")
                # Made from the reasons, so that the next attempt finds what this one does.
                generation = digest_of([generation, problems])[:12]
                kept = None
            found, problems = await self._records(kept, generation, retry_gaps=retry_gaps)
            if not problems:
                found.notices = tuple(notices)
                return found

    async def _checkpoint(self) -> tuple[StepCheckpoint | None, list[str]]:
        """The checkpoint that is there, if any, and why it does not fit."""
        data = await self._artifacts.read_named(checkpoint_path(run_guid_of(self._job)))
        if data is None:
            return None, []
        found = parse(data)
        if found is None:
            return None, ["its checkpoint is none that this version can read"]
        if found.stope.namespace != self._job.namespace:
            # The job is to be made afresh: what was before is not asked for.
            return None, []
        return found, misfits(found, self._pipeline.definition, self._job)

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
            problems += await self._damage(step, record)
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

    async def _damage(self, step: Step, record: StepRecord) -> list[str]:
        """What of the values that a step gave, and of what they name, is gone or damaged."""
        if set(record.gives) != set(step.gives):
            return [f"the step {step.name} gave other names than it declares"]
        found: list[str] = []
        for name, kind in step.gives.items():
            try:
                await self._values.check(name, record.gives[name], kind)
            except ArtifactError as error:
                found.append(f"{name} of the step {step.name}: {str(error).partition(';')[0]}")
        try:
            lost = await lost_uses(self._artifacts, await hold_uses(self._artifacts, record))
        except ArtifactError as error:
            found.append(f"what the step {step.name} names: {str(error).partition(';')[0]}")
        else:
            if lost:
                found.append(
                    f"{len(lost)} of the artifacts that the step {step.name} names are gone, such "
                    f"as {self._artifacts.uri(lost[0])}"
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
