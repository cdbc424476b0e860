"""Progress: what a stage reports with every heartbeat."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen


class StageProgress(Frozen):
    """Where a running stage stands. Well under 1 KB as JSON, whatever the size of the run."""

    job_type: str
    stage: str = Field(description="as in the checkpoint: validating, mining, …")
    done: int = Field(default=0, ge=0, description="units with a committed output")
    total: int | None = Field(default=None, ge=0, description="units in the plan, once it exists")
    reused: int = Field(default=0, ge=0, description="of `done`, committed before this attempt")
    gaps: int = Field(default=0, ge=0)
    cursor: str | None = Field(default=None, description="id of the last committed unit")
    note: str | None = Field(default=None, max_length=200)
    elapsed: float = Field(
        default=0, ge=0, description="seconds since this attempt began its units"
    )

    audio: float = Field(
        default=0, ge=0, description="seconds of the recording in the units of this attempt"
    )

    @property
    def seconds_left(self) -> float | None:
        """Time left from this attempt's own rate; None until it has finished a unit."""
        fresh = self.done - self.reused
        if self.total is None or fresh <= 0:
            return None
        return (self.total - self.done - self.gaps) * self.elapsed / fresh
