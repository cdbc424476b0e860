"""The language of a recording: detected once, stored, and kept for every chunk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from stope.errors import UsageError
from stope.identity import digest_of
from stope.leases import Leases
from stope.models.audio import Chunk, ChunkPlan
from stope.models.transcript import LanguageGuess, RecordingLanguage
from stope.speech.recognition import STAGE, Recognition
from stope.speech.transcriber import Way
from stope.units import Tally, Unit, run_units, stored_plan

log = logging.getLogger(__name__)

CHUNKS = 5
"""How many chunks are listened to: one may be a jingle, a quotation or noise."""

CLEAR_SECONDS = 10.0
"""A chunk at least this long holds enough speech to tell by."""

UNKNOWN = "und"
"""ISO 639-2 for a language that nobody could name."""

_VERSION = 1


def check_language(recognition: Recognition, model: str, language: str | None) -> None:
    """Find out whether an engine knows the language that is asked for.

    Raises:
        UsageError: it does not.
    """
    known = recognition.engine.languages
    if language is not None and known is not None and language not in known:
        some = ", ".join(sorted(known)[:12]) + (" and others" if len(known) > 12 else "")
        raise UsageError(
            f"The speech model {model} does not know the language {language!r} (it knows {some}); "
            "give another --language, or another --asr."
        )


async def recording_language(
    recognition: Recognition,
    plan: ChunkPlan,
    draining: asyncio.Event,
    leases: Leases | None = None,
) -> str | None:
    """The one language of a recording; None when it has no speech, or the engine cannot tell.

    An engine with a single language is not asked. The decision is stored under a key of its own,
    so that whoever resumes the recording goes on in the same language.

    Args:
        recognition: the chunks and their engine.
        plan: the chunk plan.
        draining: when set, no new chunk is listened to.
        leases: what this attempt holds.

    Raises:
        StageFailedError: not one of the chosen chunks could be decoded.
        WorkerDrainingError: ``draining`` was set.
    """
    known = recognition.engine.languages
    if not plan.chunks:
        return None
    if known is not None and len(known) == 1:
        return next(iter(known))
    chosen = clear_chunks(plan.chunks)

    async def decide() -> RecordingLanguage:
        guesses = await _guesses(recognition, chosen, draining, leases)
        found = likeliest(guesses)
        for chunk in chosen:
            heard = guesses[chunk.id].transcript if chunk.id in guesses else None
            if heard is not None and heard.language == found.language:
                # It is what the chunk's own turn would ask for, and it may be paid for.
                await recognition.keep(chunk, found.language, Way.PLAIN, heard)
        return found

    key = digest_of(
        [STAGE, "language", _VERSION, [recognition.guess_key(chunk) for chunk in chosen]]
    )
    found = await stored_plan(recognition.store, key, STAGE, RecordingLanguage, decide)
    if found.language != UNKNOWN:
        return found.language
    log.warning("The speech model does not say which language it hears; give it with --language")
    return None


def clear_chunks(chunks: Sequence[Chunk]) -> list[Chunk]:
    """At most ``CHUNKS`` chunks, spread over the recording, of those with much speech.

    Where none is long enough, the longest are taken.
    """
    clear = [chunk for chunk in chunks if chunk.end - chunk.start >= CLEAR_SECONDS]
    if not clear:
        by_length = sorted(chunks, key=lambda chunk: (chunk.start - chunk.end, chunk.start))
        clear = sorted(by_length[:CHUNKS], key=lambda chunk: chunk.start)
    count = min(CHUNKS, len(clear))
    return [clear[(2 * index + 1) * len(clear) // (2 * count)] for index in range(count)]


def likeliest(guesses: Mapping[str, LanguageGuess]) -> RecordingLanguage:
    """The language with the greatest mean probability, the first by code among equals.

    Args:
        guesses: by chunk id.
    """
    totals: dict[str, float] = {}
    for guess in guesses.values():
        for language, probability in guess.probabilities.items():
            totals[language] = totals.get(language, 0.0) + probability
    best = min(totals, key=lambda name: (-totals[name], name), default=UNKNOWN)
    return RecordingLanguage(
        language=best,
        probability=round(min(1.0, totals.get(best, 0.0) / max(1, len(guesses))), 4),
        chunks=tuple(guesses),
    )


async def _guesses(
    recognition: Recognition,
    chunks: Sequence[Chunk],
    draining: asyncio.Event,
    leases: Leases | None,
) -> dict[str, LanguageGuess]:
    async def do(unit: Unit[Chunk]) -> LanguageGuess:
        return await recognition.guess(unit.item)

    async def report(_tally: Tally) -> None:
        """The stage counts chunks, not guesses."""

    done = await run_units(
        [
            Unit(
                id=chunk.id,
                key=recognition.guess_key(chunk),
                item=chunk,
                start=chunk.start,
                end=chunk.end,
            )
            for chunk in chunks
        ],
        do,
        stage=STAGE,
        store=recognition.store,
        output=LanguageGuess,
        concurrency=recognition.engine.parallel,
        report=report,
        draining=draining,
        leases=leases,
    )
    return done.outputs
