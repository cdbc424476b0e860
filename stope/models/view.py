"""What a person watching a job sees."""

from __future__ import annotations

from stope.models.frozen import Frozen
from stope.models.job import JobStatus, JobType
from stope.models.progress import StageProgress

NOT_STARTED = "not_started"
RUNNING = "running"


class StageView(Frozen):
    """One stage, as Temporal sees it. ``waiting`` says why nothing moves, when nothing does.

    ``stage`` is a type of job, or the name of a step of a step pipeline.
    """

    stage: JobType | str
    state: str
    progress: StageProgress | None = None
    attempt: int = 0
    waiting: str | None = None
    paused: bool = False

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.state not in (NOT_STARTED, RUNNING)


class TimeLeft(Frozen):
    """Seconds until a job's end. ``at_least``: some of its stages cannot be foreseen yet."""

    seconds: float
    at_least: bool = False


class JobView(Frozen):
    """A job and its stages.

    ``waiting`` says why nothing of it moves although it is not finished. ``lost``: the records say
    that it runs, and Temporal has no such workflow.
    """

    job_id: str
    type: JobType
    status: JobStatus
    stages: tuple[StageView, ...] = ()
    error: str | None = None
    waiting: str | None = None
    lost: bool = False

    @property
    def time_left(self) -> TimeLeft | None:
        """The sum of the stages that can be foreseen; None when none can."""
        if self.lost or self.status.finished:
            return None
        known: list[float] = []
        unknown = False
        begun = [at for at, stage in enumerate(self.stages) if stage.state != NOT_STARTED]
        # What lies before one that has begun, and never began itself, had its result already.
        for stage in self.stages[max(begun, default=0) :]:
            left = stage.progress.seconds_left if stage.progress else None
            if stage.ended:
                continue
            if left is None:
                unknown = True
            else:
                known.append(left)
        return TimeLeft(seconds=sum(known), at_least=unknown) if known else None
