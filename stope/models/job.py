"""Jobs, their runs and their identity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath

from pydantic import Field

from stope.identity import digest_of
from stope.models.frozen import Frozen

JsonObject = dict[str, object]


class JobType(StrEnum):
    """What a job does. Each is a workflow type, an activity file and a folder of the library."""

    TRANSCRIBE = "transcribe"
    MINE = "mine"
    FLAGSHIP = "flagship"
    UPLOAD = "upload"
    PIPELINE = "pipeline"
    STEPS = "steps"
    """Any step pipeline; which one is in its config."""


class JobStatus(StrEnum):
    """Where a job or one of its runs stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_GAPS = "succeeded_with_gaps"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSED)

    @property
    def has_result(self) -> bool:
        """Whether the job answers from its result."""
        return self in (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS)


class InputKind(StrEnum):
    """What a job starts from."""

    RECORDING = "recording"
    TEXT = "text"
    TRANSCRIPT = "transcript"
    CLAIMS = "claims"
    KNOWLEDGE = "knowledge"
    FILES = "files"


class InputFile(Frozen):
    """One file of an input that has several."""

    path: str = Field(description="as the user gave it, absolute; or its URL")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content")


class JobInput(Frozen):
    """What a job works on: its content's digest, and where it was given.

    Of several files, ``digest`` is that of the list of theirs, and ``path`` the first one's.
    """

    kind: InputKind
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content")
    path: str = Field(description="as the user gave it, absolute; or the artifact's URI")
    files: tuple[InputFile, ...] = Field(default=(), description="of a step pipeline, in order")

    @property
    def identity(self) -> str:
        """Content and how it is read: the same bytes as .srt and as .txt are two inputs."""
        reading = PurePath(self.path).suffix.lower() if self.kind is InputKind.TEXT else ""
        return f"{self.kind.value}{reading}:{self.digest}"


class Diarize(StrEnum):
    """Whether speakers are told apart: if it can be done, never, or else the run fails."""

    AUTO = "auto"
    OFF = "off"
    REQUIRED = "required"


class Selection(StrEnum):
    """Who tells claims from other sentences.

    ``learned``: a classifier fitted to labelled English sentences; ``asked``: the mining model;
    ``auto``: learned where that model is embedded and the language English, else asked.
    """

    AUTO = "auto"
    LEARNED = "learned"
    ASKED = "asked"


class AcceptCached(StrEnum):
    """Which paid answers may serve a request: the same model's, or any other model's as well."""

    EXACT = "exact"
    ANY_MODEL = "any-model"


class DiarizerName(StrEnum):
    """What tells speakers apart: the built-in engine, or the one of the ``speakrs`` extra."""

    EMBEDDED = "embedded"
    SPEAKRS = "speakrs"


_OF_STEP_PIPELINES = ("pipeline", "pipeline_config", "run_guid")


class JobConfig(Frozen):
    """Everything of a request that decides its output. All of it is part of the job's id."""

    asr_model: str = "tiny.en"
    language: str | None = Field(default=None, description="ISO 639-1; detected when absent")
    diarize: Diarize = Diarize.AUTO
    diarizer: DiarizerName = DiarizerName.EMBEDDED
    speakers: int | None = Field(
        default=None, ge=1, le=50, description="how many speak; found out when absent"
    )
    miner_model: str = ""
    flagship_model: str = ""
    selection: Selection = Selection.AUTO
    segment_tokens: int = Field(default=750, ge=50, le=20_000)
    accept_cached: AcceptCached = AcceptCached.EXACT
    upload_to: str = Field(default="", description="URL of the place that an upload fills")
    pipeline: str = Field(default="", description="the name of a step pipeline")
    pipeline_config: JsonObject = Field(
        default_factory=dict, description="its own config, in its own model's form"
    )
    run_guid: str = Field(
        default="",
        max_length=64,
        description="of a pipeline's run; made from the request where not given",
    )

    def for_type(self, job_type: JobType) -> JsonObject:
        """The fields that decide a job type's output, so that no other changes its id."""
        fields = {
            JobType.TRANSCRIBE: ("asr_model", "language", "diarize", "diarizer", "speakers"),
            JobType.MINE: ("miner_model", "segment_tokens", "selection", "accept_cached"),
            JobType.FLAGSHIP: ("flagship_model", "accept_cached"),
            JobType.UPLOAD: ("upload_to",),
            JobType.PIPELINE: tuple(
                name
                for name in JobConfig.model_fields
                if name not in _OF_STEP_PIPELINES or (name == "run_guid" and self.run_guid)
            ),
            JobType.STEPS: _OF_STEP_PIPELINES,
        }[job_type]
        values = {name: getattr(self, name) for name in fields}
        # These came later: jobs from before them keep their ids.
        for name in ("accept_cached", "upload_to"):
            if values.get(name) == JobConfig.model_fields[name].default:
                del values[name]
        return values


def job_id_of(job_type: JobType, source: str, config: JobConfig, recipe: str) -> str:
    """``<type>-<hash>``: the same request finds the same job, in any process.

    A step pipeline's begins with the pipeline's name.

    ``source`` is ``JobInput.identity``. ``recipe`` is the digest of the program's own prompts and
    schemas: when they change, finished jobs are made again from the units that did not.
    """
    identity = [job_type.value, source, config.for_type(job_type), recipe]
    return f"{_kind(job_type, config)}-{digest_of(identity)[:16]}"


def _kind(job_type: JobType, config: JobConfig) -> str:
    """A type of job, or the name of the step pipeline that its config names."""
    named = config.pipeline if job_type is JobType.STEPS else ""
    return named or job_type.value


class JobOptions(Frozen):
    """How a job is worked on when nobody says otherwise. No part of its id."""

    max_workers: int | None = Field(default=None, ge=1)
    max_usd: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    chain: bool = False
    redo_from: JobType | None = None
    redo_namespace: str = ""
    strict_resume: bool = Field(
        default=False, description="a checkpoint that does not fit fails a pipeline"
    )
    keep_checkpoint: bool = Field(
        default=False, description="of a pipeline, also when it has succeeded"
    )


class Job(Frozen):
    """A request, and its result once there is one."""

    id: str
    type: JobType
    input: JobInput
    config: JobConfig
    namespace: str = Field(default="", description="of its units; '' is shared by all jobs")
    parent_id: str | None = None
    options: JobOptions = JobOptions()
    status: JobStatus
    result: JsonObject | None = None
    result_namespace: str | None = Field(
        default=None, description="of the units that the result is made of; None: the job's"
    )
    created_at: datetime

    @property
    def kind(self) -> str:
        """What people call what it does: its type, or the name of its step pipeline."""
        return _kind(self.type, self.config)

    @property
    def is_done(self) -> bool:
        """Whether it has a result that was made in its namespace.

        One that is to be made afresh answers from the result it had until there is another.
        """
        is_own = self.result_namespace in (None, self.namespace)
        return self.status.has_result and self.result is not None and is_own


class JobRun(Frozen):
    """One attempt at a job, with its own checkpoint."""

    run_id: str
    job_id: str
    attempt: int = Field(ge=1)
    workflow_id: str
    temporal_run_id: str | None = Field(
        default=None, description="the workflow run that does it; None while it is queued"
    )
    pipeline_run_id: str | None = Field(
        default=None,
        description="whose budget it draws on: of the pipeline, or of the first link of a chain",
    )
    namespace: str | None = Field(
        default=None, description="of its units; None from before runs kept to one: the job's"
    )
    status: JobStatus
    result: JsonObject | None = Field(
        default=None, description="its own; None from before runs had one: the job's"
    )
    checkpoint: JsonObject | None = None
    error_code: str | None = None
    error_message: str | None = None
    metrics: JsonObject | None = None
    created_at: datetime
    finished_at: datetime | None = None


def newest_begun(runs: Sequence[JobRun]) -> JobRun | None:
    """Of a job's runs, the first one first, the newest that was begun."""
    return next((run for run in reversed(runs) if run.temporal_run_id is not None), None)
