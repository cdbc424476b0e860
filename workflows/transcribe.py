"""A recording becomes a stored transcript."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import run_stage


@workflow.defn
class TranscribeWorkflow:
    """A recording becomes a stored transcript."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a transcribe job."""
        return await run_stage(request, names.TRANSCRIBE_AUDIO, names.SPEECH_QUEUE)
