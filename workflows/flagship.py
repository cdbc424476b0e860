"""Claims become ranked verdicts."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import run_stage


@workflow.defn
class FlagshipWorkflow:
    """Claims become ranked verdicts."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a flagship job."""
        return await run_stage(request, names.EVALUATE_CLAIMS, names.LLM_QUEUE)
