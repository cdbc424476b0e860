"""One chunk, heard: decoded plainly, and where the answer is doubtful, in other ways.

The answer with the best ``score`` is kept, an earlier one unless a later one is better by
``MARGIN``, and what is doubtful about it is flagged. An answer with a loop never takes the place of
one without: inside a loop a recognizer is sure of every word. Every way is deterministic, or its
answer is kept by the caller, so a chunk that is heard again gives the same words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, Flag, FlagKind, Word
from stope.speech.quality import find_flags
from stope.speech.score import score
from stope.speech.sound import Sound
from stope.speech.transcriber import Transcriber, Way

MARGIN = 0.1

WAYS: dict[FlagKind, tuple[Way, ...]] = {
    FlagKind.LOOP: (Way.HALVES, Way.TIMESTAMPS, Way.NO_REPEAT, Way.WARMER),
    FlagKind.SPEECH_WITHOUT_TEXT: (Way.HALVES, Way.TIMESTAMPS, Way.WARMER),
    FlagKind.TEXT_WITHOUT_SPEECH: (Way.TIMESTAMPS, Way.HALVES),
    FlagKind.STOCK_PHRASE: (Way.TIMESTAMPS, Way.HALVES),
    FlagKind.LOW_CONFIDENCE: (Way.TIMESTAMPS,),
}
"""What is tried for each doubt, in this order; the first doubt in this table decides."""

_SHORTEST_HALF = 2 * SAMPLE_RATE
"""Whisper makes things up for shorter pieces."""

Keep = Callable[[Way, ChunkTranscript], Awaitable[None]]


@dataclass(frozen=True)
class _Heard:
    answer: ChunkTranscript
    flags: tuple[Flag, ...]
    score: float


async def hear(
    engine: Transcriber,
    audio: Audio,
    language: str | None,
    *,
    kept: Mapping[Way, ChunkTranscript],
    keep: Keep,
) -> ChunkTranscript:
    """The best answer for a chunk, flagged; ``attempts`` counts the ways it was decoded.

    Args:
        engine: the recognizer.
        audio: the chunk, as for ``Transcriber``.
        language: as for ``Transcriber``.
        kept: answers that an attempt before this one has kept.
        keep: called with every new answer of a doubtful chunk, before the next way is tried.

    Raises:
        ChunkUndecodableError: the plain way could not decode it.
    """
    sound = Sound(audio)
    tries: list[ChunkTranscript] = []

    async def listen(way: Way) -> _Heard:
        answer = kept.get(way)
        fresh = answer is None
        if answer is None:
            answer = await _decode(engine, audio, language, way, sound)
        tries.append(answer)
        flags = await asyncio.to_thread(find_flags, answer, sound)
        if fresh and (flags or way is not Way.PLAIN):
            await keep(way, answer)
        return _Heard(answer, flags, score(answer, flags, sound))

    best = plain = await listen(Way.PLAIN)
    for way in _other_ways(plain.flags, engine.ways, audio.size):
        try:
            other = await listen(way)
        except ChunkUndecodableError:
            continue
        if other.score > best.score + MARGIN and not _loops(other.flags) > _loops(best.flags):
            best = other
        if not best.flags or (way is Way.HALVES and _only_loops(plain.flags, other.flags)):
            # Halves that loop as well, each heard by itself: it may well have been said so.
            break
    return best.answer.model_copy(
        update={
            "flags": best.flags,
            "attempts": len(tries),
            "engine_seconds": round(sum(answer.engine_seconds for answer in tries), 3),
        }
    )


def _other_ways(flags: Sequence[Flag], offered: Sequence[Way], samples: int) -> list[Way]:
    kinds = {flag.kind for flag in flags}
    wanted: tuple[Way, ...] = next((ways for kind, ways in WAYS.items() if kind in kinds), ())
    return [
        way
        for way in wanted
        if way in offered or (way is Way.HALVES and samples >= 2 * _SHORTEST_HALF)
    ]


def _loops(flags: Sequence[Flag]) -> bool:
    return any(flag.kind is FlagKind.LOOP for flag in flags)


def _only_loops(*answers: Sequence[Flag]) -> bool:
    return all({flag.kind for flag in flags} == {FlagKind.LOOP} for flags in answers)


async def _decode(
    engine: Transcriber, audio: Audio, language: str | None, way: Way, sound: Sound
) -> ChunkTranscript:
    if way is not Way.HALVES:
        return await engine.transcribe(audio, language, way)
    cut = sound.quiet_sample()
    first = await engine.transcribe(audio[:cut], language)
    second = await engine.transcribe(audio[cut:], language)
    later = cut / SAMPLE_RATE
    return ChunkTranscript(
        language=first.language,
        utterances=(
            *first.utterances,
            *(
                tuple(_shifted(word, later, sound.seconds) for word in utterance)
                for utterance in second.utterances
            ),
        ),
        engine_seconds=round(first.engine_seconds + second.engine_seconds, 3),
    )


def _shifted(word: Word, seconds: float, end: float) -> Word:
    return word.model_copy(
        update={
            "start": None if word.start is None else min(round(word.start + seconds, 3), end),
            "end": None if word.end is None else min(round(word.end + seconds, 3), end),
        }
    )
