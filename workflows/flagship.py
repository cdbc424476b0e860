"""Claims become ranked verdicts."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import Stage


@workflow.defn
class FlagshipWorkflow(Stage):
    """Claims become ranked verdicts."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a flagship job."""
        return await self.run_stage(
            request, JobType.FLAGSHIP, names.EVALUATE_CLAIMS, names.LLM_QUEUE
        )
