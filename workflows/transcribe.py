"""A recording becomes a stored transcript."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import Stage


@workflow.defn
class TranscribeWorkflow(Stage):
    """A recording becomes a stored transcript."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a transcribe job."""
        return await self.run_stage(
            request, JobType.TRANSCRIBE, names.TRANSCRIBE_AUDIO, names.SPEECH_QUEUE
        )
