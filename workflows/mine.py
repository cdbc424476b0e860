"""A transcript becomes stored claims with evidence."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import run_stage


@workflow.defn
class MineWorkflow:
    """A transcript becomes stored claims with evidence."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a mine job."""
        return await run_stage(request, names.MINE_TRANSCRIPT, names.LLM_QUEUE)
