"""What a person watching a job sees."""

from __future__ import annotations

from stope.models.frozen import Frozen
from stope.models.job import JobStatus, JobType
from stope.models.progress import StageProgress


class StageView(Frozen):
    """One stage, as Temporal sees it. ``waiting`` says why nothing moves, when nothing does."""

    stage: JobType
    state: str
    progress: StageProgress | None = None
    attempt: int = 0
    waiting: str | None = None


class JobView(Frozen):
    """A job and its stages."""

    job_id: str
    type: JobType
    status: JobStatus
    stages: tuple[StageView, ...] = ()
    error: str | None = None
