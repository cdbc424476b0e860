"""What a run knows is published at a destination."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import Stage


@workflow.defn
class UploadWorkflow(Stage):
    """What a run knows is published at a destination.

    On the queue for small input and output: it asks no model, and must not wait for a place behind
    stages that hold one for hours.
    """

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of an upload job."""
        return await self.run_stage(
            request, JobType.UPLOAD, names.UPLOAD_KNOWLEDGE, names.ORCHESTRATION_QUEUE
        )
