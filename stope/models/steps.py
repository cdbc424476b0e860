"""Step pipelines: what they are made of, what a step gave, and where a run stands."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from stope import names
from stope.identity import digest_of
from stope.models.checkpoint import Checkpoint, CheckpointMeta, PipelineCheckpoint
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.job import JobStatus, JsonObject
from stope.models.messages import StageDone
from stope.models.progress import gap_notes

CHECKPOINT_VERSION = "1.0"


class StepStatus(StrEnum):
    """Where a step of a run stands.

    ``SKIPPED``: it was finished before this run and kept; or, if it is none of the completed
    steps, what it needs was not made.
    """

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepDefinition(Frozen):
    """One step, as a workflow sees it: what does it, where, and what passes through it.

    ``workflow`` is the type of the child workflow that does it, as for each stage of an episode;
    without one, ``activity`` does.
    """

    name: str
    activity: str = names.RUN_STEP
    workflow: str | None = None
    queue: str = names.ORCHESTRATION_QUEUE
    required: bool = True
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()


class PipelineDefinition(Frozen):
    """The steps of a pipeline, in the order in which they run, and what of it is its result."""

    name: str
    version: int = Field(ge=1)
    steps: tuple[StepDefinition, ...]
    outputs: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The digest of everything that is declared."""
        return digest_of(self)

    @property
    def flow(self) -> str:
        """The digest of what passes through the steps: where they are done is no part of it."""
        return digest_of([[step.name, step.needs, step.gives] for step in self.steps])

    def step(self, name: str) -> StepDefinition:
        """The step of a name.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


class StepRecord(BaseModel):
    """What a step gave: its unit's committed output.

    ``identity`` is the digest of everything that decides it. ``gives`` is in the form of the
    context: small values as they are, others as references. ``uses`` is the digest of a stored
    ``StepUses``, '' where there are no others. Times are ISO 8601, in UTC; ``duration`` is in
    seconds. One that failed, or was skipped, gives nothing and says why.
    """

    step: str
    identity: str
    run_id: str
    status: StepStatus = StepStatus.COMPLETED
    attempt: int = 1
    started_at: str
    finished_at: str
    duration: float = Field(ge=0)
    gives: dict[str, object] = Field(default_factory=dict)
    uses: str = ""
    metadata: JsonObject = Field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    error: str | None = None


class StepUses(Frozen):
    """Artifacts that a step stored or read beside its context: what it gave may name them."""

    digests: tuple[str, ...]


class StepSummary(Frozen):
    """A step in ``steps_summary``."""

    status: StepStatus = StepStatus.NOT_STARTED
    started_at: str | None = None
    finished_at: str | None = None
    duration: float | None = None
    attempt: int = 0
    error: str | None = None
    metadata: JsonObject = Field(default_factory=dict)


class StepCheckpointMeta(CheckpointMeta):
    """Our own fields of a step pipeline's checkpoint: what it is checked by when it is read."""

    pipeline_version: int = 1
    steps: tuple[str, ...] = ()
    flow: str = ""
    input_hash: str = ""
    config_hash: str = ""
    namespace: str = ""
    generation: str = Field(
        default="", description="'' or the digest of why all that was kept before is not read"
    )
    run_id: str = ""
    keys: dict[str, str] = Field(
        default_factory=dict, description="by step: of its record among the committed units"
    )
    uses: dict[str, str] = Field(default_factory=dict, description="by step: see StepRecord")
    gaps: dict[str, tuple[Gap, ...]] = Field(default_factory=dict, description="by step")
    notices: tuple[str, ...] = Field(default=(), description="why this run began as it did")


class StepCheckpoint(Checkpoint):
    """Where a run of a step pipeline stands; the same on the run and among the artifacts."""

    pipeline_name: str
    run_guid: str
    completed_steps: list[str] = Field(default_factory=list)
    context: dict[str, object] = Field(default_factory=dict)
    steps_summary: dict[str, StepSummary] = Field(default_factory=dict)
    checkpoint_version: str = CHECKPOINT_VERSION
    stope: StepCheckpointMeta = Field(default_factory=StepCheckpointMeta)


class EpisodeCheckpoint(StepCheckpoint, PipelineCheckpoint):
    """Where an episode stands: as any pipeline, and what each of its stages gave.

    A step's key is the id of its stage's job. Its gaps stand in ``results``.
    """

    stope: StepCheckpointMeta = Field(default_factory=StepCheckpointMeta)


class OpenSteps(Frozen):
    """Ask what a run of a step pipeline has to do."""

    job_id: str
    run_id: str
    retry_gaps: bool = Field(default=False, description="steps with gaps are done again")


class StepDone(Frozen):
    """A step that is over. ``key`` is of its record; ``gives`` are names of the context."""

    step: str
    key: str
    gives: tuple[str, ...] = ()
    done: StageDone


class StepsOpened(Frozen):
    """What a run has to do: the pipeline as it is declared now, and what is finished of it."""

    definition: PipelineDefinition
    generation: str = ""
    kept: tuple[StepDone, ...] = ()
    again: tuple[str, ...] = Field(
        default=(), description="steps that are done another time if what they gave has gaps"
    )
    notices: tuple[str, ...] = ()


class StepPlace(Frozen):
    """Which steps of a run are over: what every activity of it works on. ``keys`` are by step."""

    job_id: str
    run_id: str
    fingerprint: str
    generation: str = ""
    keys: dict[str, str] = Field(default_factory=dict)


class StepRequest(Frozen):
    """Ask for one step."""

    place: StepPlace
    step: str
    again: bool = False
    max_workers: int | None = None


class NoteStep(Frozen):
    """Note that an optional step gives nothing, and why."""

    place: StepPlace
    step: str
    status: StepStatus
    error: str


def step_done(record: StepRecord, key: str, *, units: int = 0, reused: int = 0) -> StepDone:
    """The small form of a record."""
    status = JobStatus.SUCCEEDED_WITH_GAPS if record.gaps else JobStatus.SUCCEEDED
    if record.status is not StepStatus.COMPLETED:
        status = JobStatus.FAILED
    return StepDone(
        step=record.step,
        key=key,
        gives=tuple(record.gives),
        done=StageDone(
            run_id=record.run_id,
            status=status,
            output_id=key,
            result={},
            gaps=len(record.gaps),
            units=units,
            reused=reused,
            named=gap_notes(record.gaps),
        ),
    )
