"""The stages of a workflow as its page shows them: how far each is and what it spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope.models.messages import ProgressReport, StageDone
    from stope.models.progress import GapNote, Spent, StageProgress

NOT_STARTED = "not started"
RUNNING = "running"


@dataclass(frozen=True)
class StageRow:
    """One stage, or one step: ``state`` is ``not started``, ``running`` or a job status.

    ``attempt`` counts the attempts of its activity. ``before`` is what earlier attempts had spent
    when they last reported. ``kept`` says that its job had its result before.
    """

    stage: str
    state: str = NOT_STARTED
    job_id: str | None = None
    workflow_id: str | None = None
    attempt: int = 0
    progress: StageProgress | None = None
    before: Spent | None = None
    done: StageDone | None = None
    kept: bool = False

    def reported(self, report: ProgressReport) -> StageRow:
        """With what a running stage says of itself."""
        row = self if report.attempt == self.attempt else self.settled()
        return replace(row, attempt=report.attempt, progress=report.progress)

    def settled(self) -> StageRow:
        """With its present attempt counted among those before."""
        if self.progress is None or self.done is not None:
            return self
        spent = _sum(self.before, self.progress.spent)
        progress = self.progress.model_copy(update={"spent": None})
        return replace(self, attempt=0, progress=progress, before=spent)

    def finished(self, job_id: str, done: StageDone, *, kept: bool) -> StageRow:
        """With its result; ``kept``: from a run before this one."""
        # Its spend is that of its last attempt, which may have ended without a report.
        same = done.spent is not None and done.attempt in (0, self.attempt)
        row = self if same else self.settled()
        return replace(row, state=done.status.value, job_id=job_id, done=done, kept=kept)

    @property
    def percent(self) -> int:
        """0 to 100. 100 only with a result: after its last unit a stage still stores."""
        if self.done is not None:
            return 100
        if self.progress is None or not self.progress.total:
            return 0
        return min(99, 100 * self.progress.done // self.progress.total)

    @property
    def gaps(self) -> int:
        """Units that could not be done."""
        source = self.done or self.progress
        return source.gaps if source is not None else 0

    @property
    def named(self) -> tuple[GapNote, ...]:
        """The first few of its gaps."""
        source = self.done or self.progress
        return source.named if source is not None else ()

    @property
    def spent(self) -> Spent | None:
        """As far as it was reported; None where no language model is asked."""
        if self.kept:
            return None
        source = self.done or self.progress
        return _sum(self.before, source.spent if source is not None else None)


def percent_of(rows: Sequence[StageRow]) -> int:
    """The percent of all stages together, each of equal weight."""
    return sum(row.percent for row in rows) // max(1, len(rows))


def seconds_left(row: StageRow) -> float | None:
    """Time left in a stage that is not finished; None when it is not known."""
    return row.progress.seconds_left if row.progress is not None else None


def spent_by(rows: Sequence[StageRow]) -> Spent | None:
    """By all stages; None where none asks a language model."""
    return _sum(*(row.spent for row in rows))


def _sum(*parts: Spent | None) -> Spent | None:
    known = [part for part in parts if part is not None]
    return sum(known[1:], known[0]) if known else None
