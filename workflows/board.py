"""What the Web UI shows of a workflow while it runs: current details and search attributes.

Nothing is decided by it. It is made from history (results of activities and children, signals of
running stages), so it survives a replay, a restart of the worker and a lost signal: every report is
a whole picture, and a stage's result replaces its last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio import workflow
from temporalio.common import TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobStatus, JobType
    from stope.models.messages import JobRequest, ProgressReport, StageDone

from workflows.attributes import COST, GAPS, PROGRESS, QUEUED, STAGE, changes, start_attributes
from workflows.details import Heading, markdown
from workflows.labels import label_of
from workflows.rows import RUNNING, StageRow, percent_of, spent_by

COMPLETED = "completed"
PAUSED = JobStatus.PAUSED.value


class Board:
    """The rows of one workflow's table, and what was last set as its search attributes."""

    def __init__(self) -> None:
        self._heading: Heading | None = None
        self._rows: dict[str, StageRow] = {}
        self._set_attributes = False
        self._stage = QUEUED
        self._shown: dict[str, object] = {STAGE.name: QUEUED, PROGRESS.name: 0}

    def open(self, request: JobRequest, kind: str, stages: Sequence[str], attempt: int) -> None:
        """Begin an attempt at a job that has these stages, or these steps."""
        self._heading = Heading(label_of(request), kind, request.job_id, attempt, RUNNING)
        self._rows = {stage: StageRow(stage) for stage in stages}
        self._set_attributes = request.options.search_attributes
        if workflow.info().typed_search_attributes.get(GAPS) is not None:
            # Started by a client that saw these on the server; one from before them was not.
            self._shown = {GAPS.name: 0, COST.name: None} | self._shown
        self._publish(RUNNING)

    def child_attributes(self, stage: JobType, label: str) -> TypedSearchAttributes | None:
        """What the workflow of a stage starts with; None where the server knows none of ours."""
        if not self._set_attributes:
            return None
        return start_attributes(stage, label, counted=GAPS.name in self._shown)

    def start(self, stage: str, job_id: str, workflow_id: str | None = None) -> None:
        """A stage begins; ``workflow_id`` is its child workflow's, if it has a page of its own."""
        self._rows[stage] = replace(
            self._rows[stage], state=RUNNING, job_id=job_id, workflow_id=workflow_id
        )
        self._publish(str(stage) if workflow_id or len(self._rows) > 1 else None)

    def scope(self, stage: str) -> str | None:
        """What is left of a stage that goes on after a pause; None where nothing is known."""
        progress = self._rows[stage].progress
        if progress is None or not progress.total:
            return None
        return f"{progress.total - progress.done:,} of {progress.total:,} units"

    def report(self, report: ProgressReport) -> None:
        """A running stage says where it stands; what comes late or from nowhere is left out."""
        row = next(
            (row for row in self._rows.values() if row.stage == report.progress.job_type), None
        )
        if row is None or row.state != RUNNING or report.attempt < row.attempt:
            return
        self._rows[row.stage] = row.reported(report)
        is_alone = row.workflow_id is None and len(self._rows) == 1
        self._publish(report.progress.stage if is_alone else None)

    def finish(self, stage: str, job_id: str, done: StageDone, *, kept: bool = False) -> None:
        """A stage has its result; ``kept``: from a run before this one."""
        self._rows[stage] = self._rows[stage].finished(job_id, done, kept=kept)
        self._publish(None)

    def pause(self, message: str) -> None:
        """The workflow waits for a person; ``message`` says why."""
        if self._heading is None:
            return
        self._heading = replace(self._heading, state=PAUSED, message=message)
        self._publish(None)

    def resume(self) -> None:
        """It goes on; a stage's activity is a new one, and counts its attempts anew."""
        if self._heading is None:
            return
        self._rows = {stage: row.settled() for stage, row in self._rows.items()}
        self._heading = replace(self._heading, state=RUNNING, message=None)
        self._publish(None)

    def end(self, status: JobStatus, message: str | None = None) -> None:
        """The workflow ends; without a result its running stage shares its state."""
        if self._heading is None:
            return
        self._heading = replace(self._heading, state=status.value, message=message)
        for stage, row in self._rows.items():
            if row.state == RUNNING:
                self._rows[stage] = replace(row, state=status.value)
        self._publish(COMPLETED if status.has_result else status.value)

    def _publish(self, stage: str | None) -> None:
        """Show the rows; None leaves the stage in the search attributes as it is."""
        if self._heading is None:
            return
        workflow.set_current_details(
            markdown(
                self._heading,
                tuple(self._rows.values()),
                workflow.info().namespace,
                workflow.now(),
            )
        )
        if not self._set_attributes:
            return
        self._stage = stage or self._stage
        updates = changes(self._shown, self._wanted(self._heading))
        if updates:
            workflow.upsert_search_attributes(updates)
            self._shown |= self._wanted(self._heading)

    def _wanted(self, heading: Heading) -> dict[str, object]:
        """The search attributes as they are to be, of those that this workflow sets."""
        rows = tuple(self._rows.values())
        shown = self._shown[PROGRESS.name]
        # A second kind of units in a stage starts at 0 again; what people filter by never falls.
        progress = max(percent_of(rows), shown if isinstance(shown, int) else 0)
        wanted: dict[str, object] = {
            STAGE.name: PAUSED if heading.state == PAUSED else self._stage,
            PROGRESS.name: progress,
        }
        if GAPS.name in self._shown:
            spent = spent_by(rows)
            # A sum that leaves something out would say less than was paid.
            known = spent is not None and not spent.unpriced
            wanted |= {
                GAPS.name: sum(row.gaps for row in rows),
                COST.name: spent.cost_usd if spent is not None and known else None,
            }
        return wanted


class WatchedWorkflow:
    """The base of every workflow that has a board: running stages send their progress to it."""

    def __init__(self) -> None:
        self.board = Board()

    @workflow.signal(name=names.REPORT_PROGRESS, description="Progress, for people to see.")
    def report_progress(self, report: ProgressReport) -> None:
        """Show it."""
        self.board.report(report)
