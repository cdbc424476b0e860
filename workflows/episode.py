"""The main job: a recording, or a text transcript, becomes ranked knowledge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import (
        JobRequest,
        OpenStage,
        RunOpened,
        SaveStage,
        StageDone,
        StageOpened,
    )
    from stope.models.route import EPISODE
    from stope.models.steps import PipelineDefinition, StepDefinition

from workflows.labels import activity_summary, label_of, static_details, title
from workflows.pipeline import Pipeline
from workflows.policies import (
    OPEN_STEPS_TIMEOUT,
    RECORD_RETRY,
    RECORD_TIMEOUT,
    beat_timeout,
    task_timeout,
)


@workflow.defn
class PipelineWorkflow(Pipeline):
    """transcribe → mine → flagship (→ upload); a text transcript starts at mine.

    Each step is a stage with a job of its own, which can be started alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stages: tuple[JobType, ...] = ()

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Run the episode's steps."""
        return await self.run_pipeline(request)

    async def opened(
        self, request: JobRequest, run_id: str, opened: RunOpened
    ) -> tuple[PipelineDefinition, Mapping[str, StageDone]]:
        """The stages that this input needs; which are finished is seen as each one is opened."""
        self._stages = opened.stages
        self.board.open(request, JobType.PIPELINE, opened.stages, opened.attempt)
        steps = tuple(EPISODE.step(stage.value) for stage in opened.stages)
        return EPISODE.model_copy(update={"steps": steps}), {}

    async def do_step(self, request: JobRequest, run_id: str, step: StepDefinition) -> None:
        """One stage, unless its job has its result; then the checkpoint."""
        stage = JobType(step.name)
        opened = await workflow.execute_activity(
            names.OPEN_STAGE,
            OpenStage(
                pipeline_id=request.job_id,
                run_id=run_id,
                stage=stage,
                namespace=_namespace(request, stage, self._stages),
                retry_gaps=request.options.retry_gaps,
            ),
            result_type=StageOpened,
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=OPEN_STEPS_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"open {stage.value}"),
        )
        done = opened.done
        if done is None:
            done = await self._child_done(request, run_id, step, opened.job_id)
        self.board.finish(stage, opened.job_id, done, kept=opened.done is not None)
        await workflow.execute_activity(
            names.SAVE_STAGE,
            SaveStage(
                run_id=run_id,
                stage=stage,
                stage_job_id=opened.job_id,
                stage_run_id=done.run_id,
            ),
            task_queue=names.ORCHESTRATION_QUEUE,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=beat_timeout(request.options),
            retry_policy=RECORD_RETRY,
            summary=activity_summary(request, f"note {stage.value} in the checkpoint"),
        )

    async def _child_done(
        self, request: JobRequest, run_id: str, step: StepDefinition, job_id: str
    ) -> StageDone:
        """A stage as a workflow of its own, with a page of its own."""
        stage = JobType(step.name)
        label = label_of(request)
        child_id = f"{request.job_id}/{step.name}"
        self.board.start(stage, job_id, child_id)
        # What a chain would start is this pipeline's own next step.
        options = self.options_now(request).model_copy(update={"chain": False})
        self._child = await workflow.start_child_workflow(
            str(step.workflow),
            JobRequest(
                job_id=job_id, options=options, source=request.source, pipeline_run_id=run_id
            ),
            id=child_id,
            result_type=StageDone,
            task_queue=step.queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=task_timeout(request.options.heartbeat_timeout),
            search_attributes=self.board.child_attributes(stage, label),
            static_summary=title(stage, label),
            static_details=static_details(job_id, label, request.job_id),
        )
        # Asked for while the step was being started.
        if self.options_now(request).model_copy(update={"chain": False}) != options:
            await self.pass_on_changes(self.changes)
        if self.pausing is not None:
            await self.signal_child(names.PAUSE, self.pausing.message)
        try:
            return await self._child
        finally:
            self._child = None


def _namespace(request: JobRequest, stage: JobType, stages: Sequence[JobType]) -> str:
    """The namespace of a step that is made afresh; '' for one that keeps what it has."""
    options = request.options
    if options.redo_from not in stages or not options.redo_namespace:
        return ""
    afresh = stages[stages.index(options.redo_from) :]
    return options.redo_namespace if stage in afresh else ""
