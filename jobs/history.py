"""A run's workflow as Temporal tells it: how it stands, what it gave, what it last said."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from stope.models.job import Job, JobRun, JobStatus
from stope.models.messages import StageDone
from stope.models.progress import StageProgress
from stope.models.verification import Finding


@dataclass(frozen=True)
class Told:
    """What Temporal says of a run's workflow. ``state`` is None where it knows no such thing."""

    run_id: str
    state: WorkflowExecutionStatus | None
    done: StageDone | None = None
    progress: StageProgress | None = None


async def told_of(temporal: Client, run: JobRun) -> Told:
    """What Temporal's history has of a run.

    Raises:
        RPCError: the server does not answer.
    """
    handle = temporal.get_workflow_handle(
        run.workflow_id, run_id=run.temporal_run_id, result_type=StageDone
    )
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return Told(run.run_id, None)
        raise
    state = description.status
    progress: StageProgress | None = None
    for pending in description.raw_description.pending_activities:
        if pending.heartbeat_details.payloads:
            [progress] = await temporal.data_converter.decode(
                pending.heartbeat_details.payloads, [StageProgress]
            )
    done: StageDone | None = None
    if state is WorkflowExecutionStatus.COMPLETED:
        try:
            done = await handle.result(follow_runs=False)
        except WorkflowFailureError:
            done = None
    return Told(run.run_id, state, done, progress)


_ENDS = {
    WorkflowExecutionStatus.COMPLETED: {JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS},
    WorkflowExecutionStatus.FAILED: {JobStatus.FAILED},
    WorkflowExecutionStatus.CANCELED: {JobStatus.CANCELLED},
}


def history_findings(job: Job, run: JobRun, told: Told, committed: int) -> list[Finding]:
    """What Temporal's history says differently from the records.

    Args:
        job: the run's job.
        run: as the records have it.
        told: asked for before the units were counted.
        committed: units of the run that have an output.
    """
    if told.run_id != run.run_id:
        text = "another run began just now: its history is not compared"
        return [Finding(about="temporal", text=text, wrong=False)]
    resume = f"; `stope resume {job.id}` goes on from what is committed"
    if told.state is None:
        if not run.status.finished and run.temporal_run_id is not None:
            what = f"the run is {run.status.value} and Temporal knows no such workflow run"
            return [_wrong(f"{what}{resume}")]
        text = "Temporal keeps no history of this run any more: it is not compared"
        return [Finding(about="temporal", text=text, wrong=False)]
    findings: list[Finding] = []
    name = told.state.name.lower()
    if told.state is WorkflowExecutionStatus.RUNNING:
        if run.status.finished:
            text = f"the run is {run.status.value} and its workflow has yet to close"
            findings.append(Finding(about="temporal", text=text, wrong=False))
    elif not run.status.finished:
        findings.append(_wrong(f"the run is {run.status.value} and its workflow {name}{resume}"))
    elif run.status not in _ENDS.get(told.state, {run.status}):
        findings.append(_wrong(f"the run {run.status.value} and its workflow {name}"))
    if told.done is not None and run.status.has_result:
        gaps = (job.result or {}).get("gaps", [])
        ours = ((job.result or {}).get("output_id"), len(gaps) if isinstance(gaps, list) else 0)
        if ours != (told.done.output_id, told.done.gaps):
            findings.append(
                _wrong(
                    f"history has the result {told.done.output_id} with {told.done.gaps} gaps, "
                    f"the records {ours[0]} with {ours[1]}"
                )
            )
    if told.progress is not None and told.progress.done > committed:
        findings.append(
            _wrong(
                f"the last heartbeat tells of {told.progress.done} units, the records have "
                f"{committed} of them"
            )
        )
    return findings


def _wrong(text: str) -> Finding:
    return Finding(about="temporal", text=text)
