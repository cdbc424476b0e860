"""The main job: a recording, or a text transcript, becomes ranked knowledge."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope.models.messages import JobRequest, StageDone

from workflows.pipeline import Pipeline


@workflow.defn
class PipelineWorkflow(Pipeline):
    """transcribe → mine → flagship (→ upload); a text transcript starts at mine."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Run the episode's steps."""
        return await self.run_steps(request)
