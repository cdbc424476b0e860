"""The diarizing part of the transcribe stage: units, then turns, then an artifact."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stope.artifacts import ArtifactStore
from stope.audio.decode import Audio
from stope.errors import DiarizationError, StopeError
from stope.identity import digest_of
from stope.models.audio import Chunk, ChunkPlan
from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.diarization import Diarization
from stope.models.gap import Gap
from stope.models.job import Diarize, JsonObject
from stope.speakers.diarizer import Diarizer, HeardT
from stope.stage import StageRun
from stope.units import Unit, UnitStore, run_units

STAGE = "diarize"

log = logging.getLogger(__name__)

LoadDiarizer = Callable[[], Awaitable[Diarizer[Any]]]
"""Whatever it is that the engine hears: it is committed and given back to it."""


@dataclass(frozen=True)
class Diarized:
    """Who spoke when; None where nobody asked, or where one of the gaps says why it is not known.

    ``digest`` is that of the stored ``Diarization``; ``engine_seconds`` is this attempt's work.
    """

    diarization: Diarization | None = None
    digest: str | None = None
    gaps: tuple[Gap, ...] = ()
    engine_seconds: float = 0.0

    def result(self, artifacts: ArtifactStore) -> JsonObject:
        """The part of the stage's result that is about speakers."""
        if self.diarization is None or self.digest is None:
            return {}
        return {
            "diarization_digest": self.digest,
            "diarization_path": artifacts.uri(self.digest),
            "speakers": self.diarization.speakers,
        }


@dataclass(frozen=True)
class Voices:
    """What diarizing needs of the stage around it.

    ``read`` gives the samples of a stretch, ``units`` keeps what was heard, ``artifacts`` keeps the
    result, and ``load`` gives the engine.
    """

    units: UnitStore
    artifacts: ArtifactStore
    load: LoadDiarizer
    read: Callable[[Chunk], Awaitable[Audio]]


async def diarize(run: StageRun[TranscribeCheckpoint], plan: ChunkPlan, voices: Voices) -> Diarized:
    """Tell the speakers of a recording apart. Nobody speaks in it: no turns.

    Raises:
        DiarizationError: it cannot be done, and the job requires it.
        TransientError: it may work later.
    """
    try:
        return await _diarize(run, plan, voices)
    except Exception as error:
        if isinstance(error, StopeError) and error.retryable:
            raise
        if run.job.config.diarize is Diarize.REQUIRED:
            raise DiarizationError(
                f"The speakers cannot be told apart, which --diarize required asks for: "
                f"{_sentence(error)} The transcript is kept; go on with --diarize auto to have it "
                "without speakers."
            ) from error
        log.warning("diarize: %s", error, exc_info=not isinstance(error, StopeError))
        gap = Gap(
            stage=STAGE,
            unit_id="diarization",
            reason=f"the transcript has no speakers: {_sentence(error)}",
        )
        return Diarized(gaps=(gap,))


async def _diarize(
    run: StageRun[TranscribeCheckpoint], plan: ChunkPlan, voices: Voices
) -> Diarized:
    if not plan.chunks:
        return await _stored(voices, Diarization(engine="none", speakers=0, turns=()))
    run.note("loading the diarizer")
    return await _told_apart(run, plan, voices, await voices.load())


async def _told_apart(
    run: StageRun[TranscribeCheckpoint],
    plan: ChunkPlan,
    voices: Voices,
    engine: Diarizer[HeardT],
) -> Diarized:
    stretches = engine.stretches(plan)

    async def do(unit: Unit[Chunk]) -> HeardT:
        return await engine.hear(await voices.read(unit.item))

    done = await run_units(
        [
            Unit(
                id=stretch.id,
                key=digest_of([STAGE, run.job.namespace, stretch.digest, engine.identity]),
                item=stretch,
                start=stretch.start,
                end=stretch.end,
            )
            for stretch in stretches
        ],
        do,
        stage=STAGE,
        store=voices.units,
        output=engine.heard,
        concurrency=engine.parallel,
        report=run.advance,
        draining=run.draining,
        leases=run.leases,
    )
    run.note("telling the speakers apart")
    heard = [(item, done.outputs[item.id]) for item in stretches if item.id in done.outputs]
    turns = await asyncio.to_thread(engine.turns, heard, run.job.config.speakers)
    found = Diarization(
        engine=str(engine.identity["engine"]),
        speakers=len({turn.speaker for turn in turns}),
        turns=turns,
    )
    return await _stored(voices, found, done.gaps, done.engine_seconds)


async def _stored(
    voices: Voices, found: Diarization, gaps: tuple[Gap, ...] = (), seconds: float = 0.0
) -> Diarized:
    return Diarized(found, await voices.artifacts.put_model(found), gaps, seconds)


def _sentence(error: Exception) -> str:
    """What an error says, or its type where it says nothing; with a full stop."""
    return f"{(str(error) or type(error).__name__).rstrip('.')}."
