"""What the Web UI shows of a workflow while it runs: current details and search attributes.

Nothing is decided by it. It is made from history (results of activities and children, signals of
running stages), so it survives a replay, a restart of the worker and a lost signal: every report is
a whole picture, and a stage's result replaces its last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobStatus, JobType
    from stope.models.messages import JobRequest, ProgressReport, StageDone

from workflows.attributes import QUEUED, changes
from workflows.details import RUNNING, Heading, StageRow, markdown
from workflows.labels import label_of

COMPLETED = "completed"


class Board:
    """The rows of one workflow's table, and what was last set as its search attributes."""

    def __init__(self) -> None:
        self._heading: Heading | None = None
        self._rows: dict[JobType, StageRow] = {}
        self._set_attributes = False
        self._stage = QUEUED
        self._progress = 0

    def open(
        self, request: JobRequest, job_type: JobType, stages: Sequence[JobType], attempt: int
    ) -> None:
        """Begin an attempt at a job that has these stages."""
        self._heading = Heading(label_of(request), job_type, request.job_id, attempt, RUNNING)
        self._rows = {stage: StageRow(stage) for stage in stages}
        self._set_attributes = request.options.search_attributes
        self._publish(RUNNING)

    def start(self, stage: JobType, job_id: str, workflow_id: str | None = None) -> None:
        """A stage begins; ``workflow_id`` is its child workflow's, if it has a page of its own."""
        self._rows[stage] = replace(
            self._rows[stage], state=RUNNING, job_id=job_id, workflow_id=workflow_id
        )
        self._publish(stage.value if workflow_id else None)

    def report(self, report: ProgressReport) -> None:
        """A running stage says where it stands; what comes late or from nowhere is left out."""
        row = next(
            (row for row in self._rows.values() if row.stage == report.progress.job_type), None
        )
        if row is None or row.state != RUNNING or report.attempt < row.attempt:
            return
        self._rows[row.stage] = replace(row, attempt=report.attempt, progress=report.progress)
        self._publish(None if row.workflow_id else report.progress.stage)

    def finish(self, stage: JobType, job_id: str, done: StageDone, *, kept: bool = False) -> None:
        """A stage has its result; ``kept``: from a run before this one."""
        self._rows[stage] = replace(
            self._rows[stage], state=done.status.value, job_id=job_id, done=done, kept=kept
        )
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
        percent = sum(row.percent for row in self._rows.values()) // max(1, len(self._rows))
        new_stage = stage if stage != self._stage else None
        # A second kind of units in a stage starts at 0 again; what people filter by never falls.
        new_progress = percent if percent > self._progress else None
        updates = changes(new_stage, new_progress)
        if updates:
            workflow.upsert_search_attributes(updates)
        self._stage = new_stage or self._stage
        self._progress = max(percent, self._progress)


class WatchedWorkflow:
    """The base of every workflow that has a board: running stages send their progress to it."""

    def __init__(self) -> None:
        self.board = Board()

    @workflow.signal(name=names.REPORT_PROGRESS, description="Progress, for people to see.")
    def report_progress(self, report: ProgressReport) -> None:
        """Show it."""
        self.board.report(report)
