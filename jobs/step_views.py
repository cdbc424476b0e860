"""The steps of a step pipeline as they stand: the run's checkpoint, and Temporal for what runs."""

from __future__ import annotations

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.contrib.pydantic import pydantic_data_converter

from jobs.waiting import activity_waits, is_open
from stope import names
from stope.models.job import JobRun
from stope.models.progress import StageProgress
from stope.models.steps import StepStatus
from stope.models.view import NOT_STARTED, RUNNING, StageView

_STATES = {
    StepStatus.NOT_STARTED.value: NOT_STARTED,
    StepStatus.IN_PROGRESS.value: RUNNING,
    StepStatus.COMPLETED.value: "completed",
    StepStatus.SKIPPED.value: "completed",
}


CHECKPOINT = "checkpoint"
"""Shown in place of the steps while it cannot be read."""


async def step_views(
    temporal: Client,
    description: WorkflowExecutionDescription,
    run: JobRun | None,
    paused: bool,
) -> list[StageView]:
    """The steps of an open run, in order; none before the run has a checkpoint."""
    shown = (run.checkpoint if run else None) or {}
    summary = shown.get("steps_summary")
    found: dict[str, StageView] = {}
    for name, step in summary.items() if isinstance(summary, dict) else ():
        status = str(step.get("status")) if isinstance(step, dict) else NOT_STARTED
        found[name] = StageView(stage=name, state=_STATES.get(status, status), paused=False)
    for pending in description.raw_description.pending_activities:
        waiting = await activity_waits(temporal, pending, names.ORCHESTRATION_QUEUE)
        if pending.activity_type.name == names.OPEN_STEPS and waiting is not None:
            found[CHECKPOINT] = StageView(
                stage=CHECKPOINT, state=RUNNING, attempt=pending.attempt, waiting=waiting
            )
        progress: StageProgress | None = None
        if pending.activity_type.name == names.RUN_STEP and pending.heartbeat_details.payloads:
            [progress] = await pydantic_data_converter.decode(
                pending.heartbeat_details.payloads, [StageProgress]
            )
        begun = [name for name, view in found.items() if view.state == RUNNING]
        name = progress.job_type if progress is not None else (begun[-1] if begun else None)
        if name is None:
            continue
        found[name] = StageView(
            stage=name,
            state=RUNNING,
            progress=progress,
            attempt=pending.attempt,
            waiting=waiting,
            paused=paused and is_open(description),
        )
    if paused:
        found = {
            name: view.model_copy(update={"paused": view.state == RUNNING})
            for name, view in found.items()
        }
    return list(found.values())
