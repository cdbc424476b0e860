"""What is known of a recording before it is transcribed: its length, its speech, its chunks."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stope.models.audio import ChunkPlan
from stope.money.plan import NONE, Span, exactly
from stope.sources.source import Source
from stope.units import UnitStore

LISTENED = 600.0
"""Seconds of a recording that is listened to where nobody says whether: that takes moments."""

WORDS_PER_SECOND = Span(low=1.9, high=3.5)
"""Of speech: from a slow lecture to a fast announcer."""

SPEECH_SHARE = Span(low=0.55, high=1.0)
"""Of a recording that nobody listened to."""

CHUNKS_PER_SECOND = Span(low=1 / 28, high=1 / 8)
"""Of speech: chunks are 28 s at most, and end with every longer pause."""


@dataclass(frozen=True)
class RecordingFacts:
    """``audio`` is its length in seconds; None where the file does not say."""

    audio: float | None = None
    chunks: Span = NONE
    words: Span = NONE


async def recording_facts(
    source: Source,
    digest: str,
    namespace: str,
    units: UnitStore,
    scratch: Path,
    listen: bool | None,
) -> RecordingFacts:
    """The facts of a recording: from its stored plan, by listening, or from its header.

    Args:
        source: the recording, read where it lies.
        digest: of its content.
        namespace: of the job that would plan it.
        units: has the plan if a run made one.
        scratch: folder for decoded audio while it is listened to.
        listen: decode it and find its speech; None: only where it is short.

    Raises:
        InputError: it is no recording that can be read.
    """
    # Imported here: only recordings need these libraries.
    from stope.audio.decode import probe
    from stope.speech.stage import chunk_plan_key

    body = await units.read_plan(chunk_plan_key(namespace, digest))
    if body is not None:
        return _planned(ChunkPlan.model_validate_json(body))
    seconds = (await asyncio.to_thread(probe, source)).duration
    wanted = listen if listen is not None else seconds is not None and seconds <= LISTENED
    if wanted:
        return _planned(await asyncio.to_thread(_listened, source, scratch))
    if seconds is None:
        return RecordingFacts()
    speech = SPEECH_SHARE.times(seconds, seconds)
    return RecordingFacts(
        audio=seconds,
        chunks=_whole(speech.times(CHUNKS_PER_SECOND.low, CHUNKS_PER_SECOND.high)),
        words=_whole(speech.times(WORDS_PER_SECOND.low, WORDS_PER_SECOND.high)),
    )


def _planned(plan: ChunkPlan) -> RecordingFacts:
    speech = exactly(sum(chunk.end - chunk.start for chunk in plan.chunks))
    return RecordingFacts(
        audio=plan.duration,
        chunks=exactly(len(plan.chunks)),
        words=_whole(speech.times(WORDS_PER_SECOND.low, WORDS_PER_SECOND.high)),
    )


def _listened(source: Source, scratch: Path) -> ChunkPlan:
    from stope.audio.chunks import plan_chunks
    from stope.audio.decode import decode_to_scratch

    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="plan-") as folder:
        samples = Path(folder) / "samples.s16"
        decode_to_scratch(source, samples)
        return plan_chunks(samples)


def _whole(span: Span) -> Span:
    return Span(low=round(span.low), high=round(span.high))
