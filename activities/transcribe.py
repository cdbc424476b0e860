"""The transcribe stage as an activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.services import Services
from activities.stage_shell import run_stage_activity
from stope import names
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.job import Job
from stope.models.messages import StageDone, StageRequest
from stope.records.sources import SourceDigests
from stope.sources.digests import remembered_digest
from stope.sources.source import Source
from stope.stage import StageOutcome, StageRun

if TYPE_CHECKING:
    from stope.speakers.diarizer import Diarizer


class TranscribeActivities:
    """Speech work: one process does one recording at a time, its chunks in parallel."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=names.TRANSCRIBE_AUDIO)
    async def transcribe_audio(self, request: StageRequest) -> StageDone:
        """A recording becomes a stored transcript."""
        return await run_stage_activity(self._services, request, _checkpoint, self._stage)

    async def _stage(self, run: StageRun[TranscribeCheckpoint]) -> StageOutcome:
        # Imported here: a worker without the speech queue never loads these libraries.
        from stope.speech.stage import transcribe

        services = self._services.of_run(run.run.run_id)
        digests = SourceDigests(services.database)

        async def digest_source(source: Source) -> str:
            return await remembered_digest(source, digests)

        async def load_diarizer() -> Diarizer[Any]:
            return await services.engines.diarizer(run.job.config.diarizer)

        return await transcribe(
            run,
            units=services.units,
            artifacts=services.artifacts,
            load_transcriber=services.engines.transcriber,
            load_diarizer=load_diarizer,
            scratch=services.settings.scratch,
            text_limit=services.settings.checkpoint_text_limit,
            digest_source=digest_source,
        )


def _checkpoint(job: Job) -> TranscribeCheckpoint:
    return TranscribeCheckpoint(file_path=job.input.path)
