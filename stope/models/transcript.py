"""Transcripts: words with their own times, in utterances."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field

from stope.models.frozen import Frozen

TRANSCRIPT_SCHEMA = "stope.transcript/1"


class Word(Frozen):
    """One word as it stands in the transcript, punctuation included.

    ``start`` and ``end`` are seconds from the start of the recording. They are the word's own
    from ASR, its cue's in subtitles, and absent in plain text.
    """

    text: str
    start: float | None = None
    end: float | None = None
    probability: float | None = Field(default=None, ge=0, le=1)


class ChunkTranscript(Frozen):
    """The committed output of one chunk. Times are relative to the chunk's start."""

    language: str
    utterances: tuple[tuple[Word, ...], ...]
    engine_seconds: float = Field(ge=0)


class Utterance(Frozen):
    """Words ``[first_word, end_word)`` said by one speaker without a break."""

    first_word: int = Field(ge=0)
    end_word: int = Field(gt=0)
    speaker: str | None = None


class Span(Frozen):
    """Character offsets ``[start, end)`` into a transcript's text."""

    start: int
    end: int


class Transcript(Frozen):
    """A whole transcript. ``text`` is derived from the words and never stored twice.

    Utterances are in order, do not overlap and cover every word.
    """

    schema_version: str = TRANSCRIPT_SCHEMA
    language: str = Field(description="ISO 639-1, or 'und' when nothing says")
    duration: float | None = Field(default=None, ge=0, description="seconds")
    words: tuple[Word, ...]
    utterances: tuple[Utterance, ...]

    @cached_property
    def _layout(self) -> tuple[str, tuple[Span, ...]]:
        parts: list[str] = []
        spans: list[Span] = []
        length = 0
        speaker: str | None = None
        for utterance in self.utterances:
            for index in range(utterance.first_word, utterance.end_word):
                if parts:
                    parts.append("\n" if utterance.speaker != speaker else " ")
                    length += 1
                speaker = utterance.speaker
                word = self.words[index].text
                spans.append(Span(start=length, end=length + len(word)))
                parts.append(word)
                length += len(word)
        return "".join(parts), tuple(spans)

    @property
    def text(self) -> str:
        """All words: one space between words, a line break where the speaker changes."""
        return self._layout[0]

    @property
    def word_spans(self) -> tuple[Span, ...]:
        """Where each word stands in ``text``."""
        return self._layout[1]

    @cached_property
    def word_speakers(self) -> tuple[str | None, ...]:
        """The speaker of each word."""
        return tuple(
            utterance.speaker
            for utterance in self.utterances
            for _ in range(utterance.first_word, utterance.end_word)
        )
