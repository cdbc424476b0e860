"""The flagship stage as an activity."""

from __future__ import annotations

from temporalio import activity

from activities.services import Services
from activities.stage_shell import open_ledger, run_stage_activity
from stope import names
from stope.flagship.stage import evaluate
from stope.llm.ledger import Ledger
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.job import Job
from stope.models.messages import StageDone, StageRequest
from stope.stage import StageOutcome, StageRun


class FlagshipActivities:
    """Judging: calls to a language model, many in flight."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=names.EVALUATE_CLAIMS)
    async def evaluate_claims(self, request: StageRequest) -> StageDone:
        """Claims become ranked verdicts."""
        return await run_stage_activity(self._services, request, _checkpoint, self._stage)

    async def _stage(self, run: StageRun[FlagshipCheckpoint]) -> StageOutcome:
        services = self._services

        async def ledger(model: str) -> Ledger:
            return await open_ledger(services, run, model)

        return await evaluate(
            run,
            units=services.units,
            artifacts=services.artifacts,
            records=services.knowledge,
            open_ledger=ledger,
        )


def _checkpoint(_job: Job) -> FlagshipCheckpoint:
    return FlagshipCheckpoint()
