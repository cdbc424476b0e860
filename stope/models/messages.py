"""What travels through workflow history: references and counts, never content."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.job import JobStatus, JobType, JsonObject
from stope.models.progress import GapNote, Spent, StageProgress


class RunOptions(Frozen):
    """How a job is worked on. Decides nothing about its output, and no id."""

    max_workers: int | None = Field(default=None, ge=1)
    heartbeat_timeout: float = Field(default=10, gt=0, description="seconds")
    search_attributes: bool = Field(
        default=False, description="the server has ours: workflows set them"
    )
    max_usd: float | None = Field(default=None, ge=0, description="pause before spending more")
    max_tokens: int | None = Field(default=None, ge=0, description="pause before using more")
    chain: bool = Field(default=False, description="when it has its result, start the next stage")
    retry_gaps: bool = Field(default=False, description="do what an earlier run left as gaps")
    redo_from: JobType | None = Field(
        default=None, description="this stage of a pipeline and those after it are made afresh"
    )
    redo_namespace: str = Field(default="", description="of the units of the stages made afresh")
    strict_resume: bool = Field(
        default=False, description="a checkpoint that does not fit fails a pipeline"
    )
    keep_checkpoint: bool = Field(
        default=False, description="of a pipeline, also when it has succeeded"
    )


class JobRequest(Frozen):
    """The input of every workflow: which job, and how."""

    job_id: str
    options: RunOptions = RunOptions()
    source: str | None = Field(default=None, description="what people call the input")
    pipeline_run_id: str | None = Field(
        default=None,
        description="whose budget it draws on: of the pipeline, or of the first link of a chain",
    )


class Limits(Frozen):
    """New limits for a run that goes on; None leaves the old one."""

    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)


class Changes(Limits):
    """How a job that runs already is worked on from now on; None leaves what there is."""

    max_workers: int | None = Field(default=None, ge=1)
    chain: bool | None = Field(default=None, description="no matter to a pipeline")


class OpenRun(Frozen):
    """Ask for an attempt at a job. ``run_id`` is the workflow run's: asking twice is one."""

    job_id: str
    run_id: str
    workflow_id: str
    pipeline_run_id: str | None = None


class RunOpened(Frozen):
    """An attempt. ``stages`` are a pipeline's, in order."""

    attempt: int
    run_id: str | None = Field(
        default=None, description="of the record; None from before runs could wait in a queue"
    )
    stages: tuple[JobType, ...] = ()
    scope: str | None = Field(default=None, description="what is to be done, as far as is known")


class StageRequest(Frozen):
    """The input of every stage activity. ``pipeline_id`` is the workflow it is a stage of."""

    job_id: str
    run_id: str
    max_workers: int | None = None
    max_usd: float | None = None
    max_tokens: int | None = None
    pipeline_id: str | None = None


class StageDone(Frozen):
    """How a stage or a pipeline ended well. ``result`` is small: references and counts."""

    status: JobStatus
    output_id: str
    result: JsonObject
    gaps: int = 0
    units: int = Field(default=0, ge=0, description="with an output; 0 where it is not known")
    reused: int = Field(default=0, ge=0, description="of `units`, committed before this attempt")
    named: tuple[GapNote, ...] = Field(default=(), description="the first few of the gaps")
    attempt: int = Field(default=0, ge=0, description="of the stage's activity; 0: not known")
    run_id: str | None = Field(default=None, description="of the record that has the whole result")
    spent: Spent | None = Field(
        default=None, description="in this attempt; None where no language model is asked"
    )


class ProgressReport(Frozen):
    """The signal of a running stage: for people to see, nothing is decided by it."""

    attempt: int = Field(ge=1, description="of the stage's activity")
    progress: StageProgress


class OpenStage(Frozen):
    """Ask for the job of one stage of a pipeline.

    ``run_id`` is of the pipeline's run; None from before it was told: the newest that was begun.
    """

    pipeline_id: str
    run_id: str | None = None
    stage: JobType
    namespace: str = Field(default="", description="it is made afresh in this one")
    retry_gaps: bool = Field(default=False, description="a result with gaps is not enough")


class StageOpened(Frozen):
    """A stage's job. ``done`` is there when it has its result already."""

    job_id: str
    done: StageDone | None = None


class SaveStage(Frozen):
    """Note a finished stage in the pipeline's checkpoint.

    ``stage_run_id`` is of the run that gave the result; None: the job's result is taken.
    """

    run_id: str
    stage: JobType
    stage_job_id: str
    stage_run_id: str | None = None


class MarkRun(Frozen):
    """Say that an open attempt is paused, or that it goes on; so is the pipeline it is part of."""

    run_id: str
    status: JobStatus
    pipeline_id: str | None = None
    code: str | None = None
    message: str | None = None


class OpenNext(Frozen):
    """Ask for the job that takes what a finished stage job gave."""

    job_id: str


class NextOpened(Frozen):
    """The job that a chain goes on with; nothing where it ends."""

    job_id: str | None = None
    type: JobType | None = None


class FailRun(Frozen):
    """Close an attempt that gave no result. ``status`` is failed or cancelled."""

    run_id: str
    status: JobStatus
    code: str
    message: str
