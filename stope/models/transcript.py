"""Transcripts: words with their own times, in utterances."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from pydantic import Field

from stope.models.frozen import Frozen

TRANSCRIPT_SCHEMA = "stope.transcript/1"

QUALITY_VERSION = 1
"""Part of every chunk's key: raise it when ``stope.speech`` would judge or choose otherwise."""


class Word(Frozen):
    """One word as it stands in the transcript, punctuation included.

    ``start`` and ``end`` are seconds from the start of the recording. They are the word's own
    from ASR, its cue's in subtitles, and absent in plain text.
    """

    text: str
    start: float | None = None
    end: float | None = None
    probability: float | None = Field(default=None, ge=0, le=1)


class FlagKind(StrEnum):
    """Why a passage is doubtful; the measures are those of ``stope.speech.quality``."""

    LOOP = "loop"
    STOCK_PHRASE = "stock_phrase"
    SPEECH_WITHOUT_TEXT = "speech_without_text"
    TEXT_WITHOUT_SPEECH = "text_without_speech"
    LOW_CONFIDENCE = "low_confidence"


class Flag(Frozen):
    """A passage that may not say what was said.

    Seconds and word numbers count from the start of what carries the flag: a chunk, or the whole
    recording. The words are ``[first_word, end_word)``; both are None where no word stands.
    """

    kind: FlagKind
    start: float = Field(ge=0, description="seconds")
    end: float = Field(ge=0, description="seconds")
    first_word: int | None = Field(default=None, ge=0)
    end_word: int | None = Field(default=None, ge=0)
    note: str = Field(default="", description="one sentence for a person")


class ChunkTranscript(Frozen):
    """The committed output of one chunk. Times are relative to the chunk's start.

    ``attempts`` says how many ways the chunk was decoded: more than one when it was doubtful.
    """

    language: str
    utterances: tuple[tuple[Word, ...], ...]
    engine_seconds: float = Field(ge=0)
    flags: tuple[Flag, ...] = ()
    attempts: int = Field(default=1, ge=1)


class LanguageGuess(Frozen):
    """What one chunk of speech says about the language of its recording.

    ``transcript`` is there when the engine can only tell the language by transcribing.
    """

    probabilities: dict[str, float] = Field(description="by ISO 639-1, each in [0, 1]")
    transcript: ChunkTranscript | None = None


class RecordingLanguage(Frozen):
    """The language of a whole recording, decided once from some of its chunks."""

    language: str = Field(description="ISO 639-1")
    probability: float = Field(ge=0, le=1, description="mean over the chunks")
    chunks: tuple[str, ...] = Field(description="ids of the chunks listened to")


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
    flags: tuple[Flag, ...] = Field(default=(), description="doubtful passages, in order")

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
