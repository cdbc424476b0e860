"""The transcribe stage alone: the library's function on real stores, without Temporal."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activities.services import Services, open_services
from benchmarks.bench.child import serve
from stope.identity import digest_file
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.frozen import Frozen
from stope.models.job import (
    Diarize,
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    JsonObject,
)
from stope.models.progress import StageProgress
from stope.models.transcript import Transcript
from stope.settings import load_settings
from stope.speakers.diarizer import Diarizer
from stope.speech.stage import transcribe
from stope.stage import StageRun, open_mirror


class StageDone(Frozen):
    """What the stage took, with every model loaded before.

    ``recognising`` and ``diarizing`` are the wall time of these parts; ``metrics`` is what the run
    recorded of itself.
    """

    seconds: float
    recognising: float
    diarizing: float
    text: str
    metrics: JsonObject


class StageAlone:
    """Runs the stage again and again, in a new namespace each time."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._services: Services | None = None

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One run on ``recording``, with or without speakers (``diarize``)."""
        if self._services is None:
            self._services = await open_services(self._settings)
        services = self._services
        diarize = Diarize(str(request["diarize"]))
        await services.engines.transcriber(self._settings.asr)

        async def load_diarizer() -> Diarizer[Any]:
            return await services.engines.diarizer(self._settings.diarizer)

        if diarize is not Diarize.OFF:
            await load_diarizer()
        entered: dict[str, float] = {}

        def beat(progress: StageProgress) -> None:
            entered.setdefault(progress.stage, time.perf_counter())

        run = await self._open_run(services, Path(str(request["recording"])), diarize, beat)
        began = time.perf_counter()
        outcome = await transcribe(
            run,
            units=services.units,
            artifacts=services.artifacts,
            load_transcriber=services.engines.transcriber,
            load_diarizer=load_diarizer,
            scratch=self._settings.scratch,
            text_limit=self._settings.checkpoint_text_limit,
        )
        seconds = time.perf_counter() - began
        digest = str(outcome.result["transcript_digest"])
        transcript = await services.artifacts.get_model(digest, Transcript)
        heard = entered.get("diarizing", entered["storing"])
        return StageDone(
            seconds=seconds,
            recognising=heard - entered["transcribing"],
            diarizing=entered["storing"] - heard,
            text=transcript.text,
            metrics=outcome.metrics,
        ).model_dump(mode="json")

    async def _open_run(
        self,
        services: Services,
        recording: Path,
        diarize: Diarize,
        beat: Callable[[StageProgress], None],
    ) -> StageRun[TranscribeCheckpoint]:
        name = uuid.uuid4().hex
        digest = await asyncio.to_thread(digest_file, recording)
        job = await services.jobs.create(
            Job(
                id=f"transcribe-{name}",
                type=JobType.TRANSCRIBE,
                input=JobInput(kind=InputKind.RECORDING, digest=digest, path=str(recording)),
                config=JobConfig(asr_model=self._settings.asr, diarize=diarize),
                namespace=name,
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        run = await services.jobs.begin_run(job.id, name, job.id)
        return StageRun(
            job=job,
            run=run,
            checkpoint=TranscribeCheckpoint(file_path=str(recording)),
            stage="validating",
            mirror=open_mirror(services.jobs, run, run.attempt),
            beat=beat,
            draining=asyncio.Event(),
            max_workers=None,
        )


if __name__ == "__main__":
    serve(StageAlone())
