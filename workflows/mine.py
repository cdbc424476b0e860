"""A transcript becomes stored claims with evidence."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from stope import names
    from stope.models.job import JobType
    from stope.models.messages import JobRequest, StageDone

from workflows.stage import Stage


@workflow.defn
class MineWorkflow(Stage):
    """A transcript becomes stored claims with evidence."""

    @workflow.run
    async def run(self, request: JobRequest) -> StageDone:
        """Do the one stage of a mine job."""
        return await self.run_stage(request, JobType.MINE, names.MINE_TRANSCRIPT, names.LLM_QUEUE)
