"""The mine stage as an activity."""

from __future__ import annotations

from temporalio import activity

from activities.services import Services
from activities.stage_shell import open_ledger, run_stage_activity
from stope import names
from stope.llm.ledger import Ledger
from stope.mining.input import load_transcript
from stope.mining.selection.choice import open_selector
from stope.mining.selection.selector import Selector
from stope.mining.stage import mine
from stope.models.checkpoint import MineCheckpoint
from stope.models.job import Job
from stope.models.messages import StageDone, StageRequest
from stope.models.transcript import Transcript
from stope.stage import StageOutcome, StageRun


class MineActivities:
    """Mining: calls to a language model, many in flight."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:
        """A transcript becomes stored claims."""
        return await run_stage_activity(self._services, request, _checkpoint, self._stage)

    async def _stage(self, run: StageRun[MineCheckpoint]) -> StageOutcome:
        services = self._services.of_run(run.run.run_id)

        async def read_transcript() -> tuple[str, Transcript]:
            return await load_transcript(run.job.input, services.artifacts)

        async def ledger(model: str) -> Ledger:
            return await open_ledger(services, run, model)

        async def selector(ledger: Ledger, language: str) -> Selector:
            return await open_selector(run.job.config, ledger, language, services.engines.selector)

        return await mine(
            run,
            units=services.units.of_answers(),
            artifacts=services.artifacts,
            records=services.knowledge,
            read_transcript=read_transcript,
            open_ledger=ledger,
            open_selector=selector,
        )


def _checkpoint(_job: Job) -> MineCheckpoint:
    return MineCheckpoint()
