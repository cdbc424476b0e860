"""What is kept, and what clearing out came to."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen


class KeepPolicy(Frozen):
    """Which runs are kept: the young ones, and the newest of every job, whatever their age.

    A job that could be resumed keeps all its runs.
    """

    keep_days: float = Field(default=30, ge=0, description="runs that ended since are kept")
    keep_runs: int = Field(
        default=1, ge=0, description="the newest of every job; 0 lets old jobs go with their runs"
    )
    dry_run: bool = False
    shared_store: bool = Field(
        default=False, description="also where other records have their artifacts in the store"
    )


class Amount(Frozen):
    """How many, and how many bytes as they are stored."""

    count: int = Field(default=0, ge=0)
    bytes: int = Field(default=0, ge=0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(count=self.count + other.count, bytes=self.bytes + other.bytes)


class GcReport(Frozen):
    """What was deleted, or would be. ``runs`` have their mirrors with them."""

    dry_run: bool
    jobs: Amount = Amount()
    runs: Amount = Amount()
    units: Amount = Amount()
    plans: Amount = Amount()
    answers: Amount = Amount()
    artifacts: Amount = Amount()
    scratch: Amount = Amount()
    kept_jobs: int = 0
    kept_runs: int = 0
    kept_unknown: int = Field(
        default=0, description="kept runs from before it was noted what runs need"
    )
    reclaimed: int | None = Field(
        default=None, description="bytes that the database got smaller by; None: left, jobs ran"
    )

    @property
    def total(self) -> Amount:
        """Everything together."""
        parts = (self.jobs, self.runs, self.units, self.plans, self.answers, self.artifacts)
        return sum(parts, self.scratch)
