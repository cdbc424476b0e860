"""A run of a step pipeline, as its activities see it: its records, its checkpoint, its result."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from activities.services import Services
from stope.errors import PermanentError
from stope.models.frozen import Frozen
from stope.models.job import Job, JobRun, JsonObject
from stope.models.steps import StepCheckpoint, StepPlace, StepRecord, StepSummary
from stope.stage import resumed_checkpoint
from stope.steps.cache import ContextCache
from stope.steps.checkpoint import CheckpointFile, checkpoint_of
from stope.steps.definition import Step, StepPipeline
from stope.steps.identity import run_guid_of, step_identity
from stope.steps.opening import read_records
from stope.steps.store import ValueStore, referred


class StepRun:
    """A run of a step pipeline, for one activity of it."""

    def __init__(
        self,
        services: Services,
        job: Job,
        run: JobRun,
        pipeline: StepPipeline,
        place: StepPlace,
        cache: ContextCache,
    ) -> None:
        self.services = services
        self.job = job
        self.run = run
        self.pipeline = pipeline
        self.place = place
        self.values = ValueStore(services.artifacts, cache)
        self.shown = _shown(run, pipeline, run_guid_of(job))
        self.generation = place.generation
        self.notices = self.shown.stope.notices
        self._file = CheckpointFile(services.artifacts, services.jobs, run)

    async def records(self) -> dict[str, StepRecord]:
        """The records of the steps that are over."""
        keys = self.place.keys
        await self.services.units.use("unit", keys)
        found = await read_records(self.services.units, list(keys.values()))
        missing = keys.keys() - found.keys()
        if missing:
            raise PermanentError(
                f"What the step {min(missing)} of {self.job.id} gave is gone from the records; "
                f"`stope resume {self.job.id}` makes it again."
            )
        return {name: found[name] for name in keys}

    def config(self) -> Frozen:
        """The pipeline's config, in its own model.

        Raises:
            PermanentError: it was made for another version of the pipeline.
        """
        try:
            return self.pipeline.config.model_validate(self.job.config.pipeline_config)
        except ValidationError as error:
            raise PermanentError(
                f"The config of {self.job.id} is none of the pipeline {self.pipeline.name} any "
                f"more: {error}. Create its job anew."
            ) from error

    def identity(self, step: Step, records: dict[str, StepRecord]) -> str:
        """The digest of everything that decides what a step gives."""
        return step_identity(
            self.job, self.pipeline.definition, step, context_of(records), self.generation
        )

    def unit_seed(self, step: Step) -> list[object]:
        """What decides about every unit of a step."""
        config = self.job.config.pipeline_config
        if step.config is not None:
            config = {name: config.get(name) for name in step.config}
        return [
            *("unit", self.job.namespace, self.generation),
            *(self.pipeline.name, self.pipeline.version, self.job.input.digest, config),
        ]

    async def write(
        self,
        records: dict[str, StepRecord],
        keys: dict[str, str],
        live: dict[str, StepSummary] | None = None,
    ) -> None:
        """Write the checkpoint: what is over, and what is at work."""
        checkpoint = checkpoint_of(
            self.job,
            self.run,
            self.pipeline.definition,
            records,
            keys=keys,
            generation=self.generation,
            notices=self.notices,
        )
        checkpoint.steps_summary = checkpoint.steps_summary | (live or {})
        await self._file.write(checkpoint)


def _shown(run: JobRun, pipeline: StepPipeline, run_guid: str) -> StepCheckpoint:
    fresh = StepCheckpoint(pipeline_name=pipeline.name, run_guid=run_guid)
    return resumed_checkpoint(run.checkpoint, fresh)


def context_of(records: dict[str, StepRecord]) -> dict[str, object]:
    """The context that some records make: entries by name."""
    return {name: entry for record in records.values() for name, entry in record.gives.items()}


def scratch_of(services: Services, run_guid: str) -> Path:
    """A run's folder on this machine."""
    return services.settings.scratch / "steps" / run_guid


def result_of(at: StepRun, records: dict[str, StepRecord]) -> JsonObject:
    """What the pipeline gives: small values as they are, others by their digests."""
    context = context_of(records)
    found: JsonObject = {
        "pipeline": at.pipeline.name,
        "run_guid": run_guid_of(at.job),
        "steps": len(at.pipeline.steps),
    }
    for name in at.pipeline.definition.outputs:
        if name not in context:
            continue
        digest = referred(context[name])
        found |= {name: context[name]} if digest is None else {f"{name}_digest": digest}
    return found


def metrics_of(run: JobRun, records: dict[str, StepRecord]) -> JsonObject:
    """What this run did, and what it found done."""
    own = [record for record in records.values() if record.run_id == run.run_id]
    kept = len(records) - len(own)

    def units(name: str) -> int:
        counts = [record.metadata.get(name, 0) for record in own]
        return sum(count for count in counts if isinstance(count, int))

    return {
        "steps_done": len(own),
        "steps_kept": kept,
        "units_done": units("units") - units("units_reused"),
        "units_reused": units("units_reused"),
        "step_seconds": round(sum(record.duration for record in own), 3),
    }
