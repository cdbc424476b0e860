"""By which a run of a pipeline, a step and its units are found again, anywhere."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from stope.errors import UsageError
from stope.identity import digest_of
from stope.models.job import InputKind, Job, JobType, JsonObject
from stope.models.steps import PipelineDefinition
from stope.steps.definition import Step

_RUNS = uuid.UUID("5d1f2f0e-7c0a-5c36-9f5e-6d0c1b7a3e11")
"""The namespace of derived run ids: any fixed one."""

_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def checked_run_guid(run_guid: str) -> str:
    """A run id that somebody gives, if a folder can have it as its name.

    Raises:
        UsageError: it cannot.
    """
    if not _GIVEN.fullmatch(run_guid):
        raise UsageError(
            f"{run_guid!r} cannot be a run's id: use letters, digits, - and _, at most 64."
        )
    return run_guid


def input_hash(job: Job) -> str:
    """The digest of what a pipeline works on, and of how it is read where that is not in it."""
    if job.input.kind is InputKind.TEXT:
        # The same bytes as .srt and as .txt are two inputs.
        return digest_of(job.input.identity)
    return job.input.digest


def config_hash(job: Job) -> str:
    """The digest of everything in a job's config that decides what its pipeline gives."""
    if job.type is JobType.STEPS:
        return digest_of(job.config.pipeline_config)
    return digest_of(job.config.model_copy(update={"run_guid": ""}).for_type(job.type))


def run_guid_of(job: Job) -> str:
    """The id of the run's folder: as it was given, else from pipeline, input and config."""
    if job.config.run_guid:
        return job.config.run_guid
    # The same bytes as .srt and as .txt are two inputs of an episode.
    source = job.input.digest if job.type is JobType.STEPS else job.input.identity
    return str(uuid.uuid5(_RUNS, digest_of([job.kind, source, config_hash(job)])))


def checkpoint_path(run_guid: str) -> str:
    """The name of a run's checkpoint among the artifacts."""
    return f"runs/{run_guid}/checkpoint.json"


def step_identity(
    job: Job,
    definition: PipelineDefinition,
    step: Step,
    context: Mapping[str, object],
    generation: str,
) -> str:
    """The digest of everything that decides what a step gives.

    That is the pipeline and its version, the step, the input, what the step needs, and the fields
    of the config that it depends on.
    """
    config: JsonObject = job.config.pipeline_config
    if step.config is not None:
        config = {name: config.get(name) for name in step.config}
    needs = {name: context.get(name) for name in step.needs}
    return digest_of(
        [
            *("step", job.namespace, generation, definition.name, definition.version),
            *(step.name, {name: kind.__name__ for name, kind in step.gives.items()}),
            *(job.input.digest, config, needs),
        ]
    )


def key_of_another_time(key: str, run_id: str) -> str:
    """Under which a step is done once more, whose record under a key has gaps that a run left."""
    return digest_of(["again", key, run_id])


def key_of_failure(identity: str, run_id: str) -> str:
    """Under which a run notes that an optional step gives nothing."""
    return digest_of(["without", identity, run_id])
