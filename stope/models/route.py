"""The way through the stages: which ones a pipeline has, and what each hands to the next.

The one place that knows it: activities open stages by it, the client shows and finds them by it.
"""

from __future__ import annotations

from collections.abc import Callable

from stope import names
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobType, JsonObject
from stope.models.steps import PipelineDefinition, StepDefinition

STAGES = (JobType.TRANSCRIBE, JobType.MINE, JobType.FLAGSHIP, JobType.UPLOAD)
"""All stages, in their order."""

_FIRST_STAGE = {
    InputKind.RECORDING: JobType.TRANSCRIBE,
    InputKind.TEXT: JobType.MINE,
    InputKind.TRANSCRIPT: JobType.MINE,
    InputKind.CLAIMS: JobType.FLAGSHIP,
    InputKind.KNOWLEDGE: JobType.UPLOAD,
}

HANDED_ON = {
    JobType.MINE: (InputKind.TRANSCRIPT, "transcript_digest"),
    JobType.FLAGSHIP: (InputKind.CLAIMS, "claims_digest"),
    JobType.UPLOAD: (InputKind.KNOWLEDGE, "knowledge_digest"),
}
"""By stage: what it takes from the stage before it, and the field of that stage's result."""


def _step_of(stage: JobType) -> StepDefinition:
    """A stage as a step of the episode."""
    takes = HANDED_ON[stage][0] if stage in HANDED_ON else InputKind.RECORDING
    after = STAGES[STAGES.index(stage) + 1 :]
    return StepDefinition(
        name=stage.value,
        workflow=names.WORKFLOW_OF_TYPE[stage.value],
        needs=(takes.value,),
        gives=tuple(HANDED_ON[one][0].value for one in after[:1]),
    )


EPISODE = PipelineDefinition(
    name=JobType.PIPELINE.value, version=1, steps=tuple(_step_of(stage) for stage in STAGES)
)
"""The pipeline of an episode. Each step is a stage with a job and a workflow of its own.

The version is raised when what passes through the stages changes: then no earlier checkpoint fits.
What one stage gives is decided by its own recipe.
"""


def stages_of(kind: InputKind, config: JobConfig) -> tuple[JobType, ...]:
    """The stages of a pipeline that starts from this, in order; the upload only where asked for."""
    return tuple(
        stage
        for stage in STAGES[STAGES.index(_FIRST_STAGE[kind]) :]
        if stage is not JobType.UPLOAD or config.upload_to
    )


def episode_of(job: Job) -> PipelineDefinition:
    """The episode that a job asks for: only the stages that it has."""
    stages = stages_of(job.input.kind, job.config)
    return EPISODE.model_copy(update={"steps": tuple(EPISODE.step(one.value) for one in stages)})


def next_stage(stage: JobType, config: JobConfig) -> JobType | None:
    """The stage that takes what this one gives; None after the last."""
    after = stages_of(InputKind.RECORDING, config)
    if stage not in after:
        return None
    place = after.index(stage) + 1
    return after[place] if place < len(after) else None


def handed_to(stage: JobType, result: JsonObject, uri: Callable[[str], str]) -> JobInput | None:
    """The input of a stage out of the ``result`` part of the one before; None if it is not there.

    ``uri`` says where an artifact with a digest lies.
    """
    kind, field = HANDED_ON[stage]
    digest = result.get(field)
    if not isinstance(digest, str):
        return None
    return JobInput(kind=kind, digest=digest, path=uri(digest))


def stage_inputs(
    pipeline: Job, result: JsonObject, uri: Callable[[str], str]
) -> list[tuple[JobType, JobInput]]:
    """The stages of a pipeline with what each works on, as far as its results name it."""
    stages = stages_of(pipeline.input.kind, pipeline.config)
    found = [(stage, handed_to(stage, result, uri)) for stage in stages[1:]]
    return [
        *((stage, pipeline.input) for stage in stages[:1]),
        *((stage, source) for stage, source in found if source is not None),
    ]
