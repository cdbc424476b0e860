"""Chunk transcripts, put together into one transcript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stope.models.audio import Chunk, ChunkPlan
from stope.models.transcript import ChunkTranscript, Flag, Transcript, Word
from stope.utterances import cut_utterances


def assemble_transcript(
    plan: ChunkPlan, chunks: Mapping[str, ChunkTranscript], language: str | None
) -> Transcript:
    """The transcript of a recording, in order, with times from its start.

    Args:
        plan: the chunk plan.
        chunks: transcripts by chunk id; a chunk without one is left out (it is a gap).
        language: that of the recording; None when it has no speech or nobody could tell.
    """
    words = [word for chunk in plan.chunks for word in _shifted(chunk, chunks.get(chunk.id))]
    return Transcript(
        language=language or _commonest(item.language for item in chunks.values()),
        duration=round(plan.duration, 3),
        words=tuple(words),
        utterances=tuple(cut_utterances(words)),
        flags=tuple(_shifted_flags(plan, chunks)),
    )


def _shifted(chunk: Chunk, transcript: ChunkTranscript | None) -> Iterable[Word]:
    if transcript is None:
        return
    for utterance in transcript.utterances:
        for word in utterance:
            yield word.model_copy(
                update={
                    "start": None if word.start is None else round(chunk.start + word.start, 3),
                    "end": None if word.end is None else round(chunk.start + word.end, 3),
                }
            )


def _shifted_flags(plan: ChunkPlan, chunks: Mapping[str, ChunkTranscript]) -> Iterable[Flag]:
    """The chunks' flags, with times and word numbers of the whole recording."""
    words = 0
    for chunk in plan.chunks:
        transcript = chunks.get(chunk.id)
        if transcript is None:
            continue
        for flag in transcript.flags:
            yield flag.model_copy(
                update={
                    "start": round(chunk.start + flag.start, 3),
                    "end": round(chunk.start + flag.end, 3),
                    "first_word": None if flag.first_word is None else words + flag.first_word,
                    "end_word": None if flag.end_word is None else words + flag.end_word,
                }
            )
        words += sum(map(len, transcript.utterances))


def _commonest(languages: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for language in languages:
        counts[language] = counts.get(language, 0) + 1
    return min(counts, key=lambda name: (-counts[name], name)) if counts else "und"
