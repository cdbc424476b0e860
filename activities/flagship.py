"""The flagship stage as an activity."""

from __future__ import annotations

import asyncio
from functools import partial

from temporalio import activity

from activities.services import Services
from activities.stage_shell import open_ledger, run_stage_activity
from stope import names
from stope.flagship.splitting import Narrow
from stope.flagship.stage import evaluate
from stope.llm.ledger import Ledger
from stope.mining.alignment import TranscriptIndex
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.claim import Evidence
from stope.models.job import Job
from stope.models.messages import StageDone, StageRequest
from stope.models.transcript import Transcript
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
        services = self._services.of_run(run.run.run_id)

        async def ledger(model: str) -> Ledger:
            return await open_ledger(services, run, model)

        async def narrow(transcript_digest: str) -> Narrow:
            transcript = await services.artifacts.get_model(transcript_digest, Transcript)
            index = await asyncio.to_thread(TranscriptIndex, transcript)
            return partial(_narrowed, index)

        return await evaluate(
            run,
            units=services.units.of_answers(),
            artifacts=services.artifacts,
            records=services.knowledge,
            open_ledger=ledger,
            open_embedder=services.engines.embedder,
            open_narrow=narrow,
        )


def _narrowed(index: TranscriptIndex, text: str, evidence: Evidence) -> Evidence:
    if evidence.first_word is None or evidence.end_word is None:
        return evidence
    return index.align(text, evidence.first_word, evidence.end_word)


def _checkpoint(_job: Job) -> FlagshipCheckpoint:
    return FlagshipCheckpoint()
