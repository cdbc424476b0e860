"""Any step pipeline: its steps are activities, and what they are is read from history.

The workflow knows no pipeline. The activity that opens a run says how the pipeline is declared, so
a history replays as it was written, however the declaration changes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.messages import JobRequest, RunOpened, RunOptions, StageDone
    from stope.models.steps import (
        NoteStep,
        OpenSteps,
        PipelineDefinition,
        StepDefinition,
        StepDone,
        StepPlace,
        StepRequest,
        StepsOpened,
        StepStatus,
    )

from workflows.labels import activity_summary
from workflows.pausing import is_cancelled, root, was_stopped
from workflows.pipeline import Pipeline
from workflows.policies import (
    OPEN_STEPS_TIMEOUT,
    RECORD_RETRY,
    RECORD_TIMEOUT,
    STAGE_RETRY,
    STAGE_TIMEOUT,
    beat_timeout,
)
from workflows.stage import sentence_of


@workflow.defn
class StepPipelineWorkflow(Pipeline):
    """The steps of one run, in order; a failed optional step is a gap, and the rest goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._run = StepsOpened(definition=PipelineDefinition(name="", version=1, steps=()))
        self._over: dict[str, StepDone] = {}

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Run the pipeline that the job names."""
        return await self.run_pipeline(request)

    async def opened(
        self, request: JobRequest, run_id: str, opened: RunOpened
    ) -> tuple[PipelineDefinition, Mapping[str, StageDone]]:
        """How the pipeline is declared, and what its checkpoint and records say is finished."""
        self._run = await workflow.execute_activity(
            names.OPEN_STEPS,
            OpenSteps(job_id=request.job_id, run_id=run_id, retry_gaps=request.options.retry_gaps),
            result_type=StepsOpened,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=OPEN_STEPS_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, "look for what is finished", opened.attempt),
        )
        definition = self._run.definition
        steps = [step.name for step in definition.steps]
        self.board.open(request, definition.name, steps, opened.attempt)
        self._over = {kept.step: kept for kept in self._run.kept}
        return definition, {name: over.done for name, over in self._over.items()}

    async def do_step(self, request: JobRequest, run_id: str, step: StepDefinition) -> None:
        """One step, which writes the checkpoint itself; its failure is one only if it is required.

        A step is skipped when an optional one did not give what it needs.
        """
        given = {name for over in self._over.values() for name in over.gives}
        missing = [name for name in step.needs if name not in given]
        if missing:
            reason = f"It needs {', '.join(missing)}, which was not made."
            over = await self._without(request, run_id, step, StepStatus.SKIPPED, reason)
        else:
            self.board.start(step.name, request.job_id)
            try:
                over = await self._done(request, run_id, step)
            except ActivityError as error:
                if step.required or is_cancelled() or was_stopped(error):
                    raise
                reason = sentence_of(root(error))
                over = await self._without(request, run_id, step, StepStatus.FAILED, reason)
        self._over[step.name] = over
        self.board.finish(step.name, request.job_id, over.done)

    async def _done(self, request: JobRequest, run_id: str, step: StepDefinition) -> StepDone:
        """The step's activity, done again after every pause."""

        def start(options: RunOptions) -> workflow.ActivityHandle[StepDone]:
            return workflow.start_activity(
                step.activity,
                StepRequest(
                    place=self._place(request, run_id),
                    step=step.name,
                    again=step.name in self._run.again,
                    max_workers=options.max_workers,
                ),
                result_type=StepDone,
                task_queue=step.queue,
                start_to_close_timeout=STAGE_TIMEOUT,
                heartbeat_timeout=timedelta(seconds=options.heartbeat_timeout),
                retry_policy=STAGE_RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=activity_summary(request, step.name, scope=self.board.scope(step.name)),
            )

        return await self.do_activity(request, run_id, start)

    async def _without(
        self,
        request: JobRequest,
        run_id: str,
        step: StepDefinition,
        status: StepStatus,
        reason: str,
    ) -> StepDone:
        """The run goes on without an optional step; that is noted."""
        noted: StepDone = await workflow.execute_activity(
            names.NOTE_STEP,
            NoteStep(
                place=self._place(request, run_id), step=step.name, status=status, error=reason
            ),
            result_type=StepDone,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"go on without {step.name}"),
        )
        return noted

    async def closed(self, request: JobRequest, run_id: str, opened: RunOpened) -> StageDone:
        """The pipeline's result, recorded; then what was kept for a resume is cleaned up."""
        done: StageDone = await workflow.execute_activity(
            names.CLOSE_STEPS,
            self._place(request, run_id),
            result_type=StageDone,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, "close the pipeline", opened.attempt),
        )
        return done

    def _place(self, request: JobRequest, run_id: str) -> StepPlace:
        return StepPlace(
            job_id=request.job_id,
            run_id=run_id,
            fingerprint=self._run.definition.fingerprint,
            generation=self._run.generation,
            keys={name: over.key for name, over in self._over.items()},
        )
