"""The ASR port."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from stope.audio.decode import Audio
from stope.models.transcript import ChunkTranscript, LanguageGuess


class Way(StrEnum):
    """How a chunk is decoded. ``PLAIN`` comes first; the others are for doubtful answers."""

    PLAIN = "plain"
    HALVES = "halves"
    TIMESTAMPS = "timestamps"
    NO_REPEAT = "no_repeat"
    WARMER = "warmer"


class Transcriber(Protocol):
    """Turns one chunk of speech into words with times."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything about the engine that decides its output; part of every chunk's key."""

    @property
    def parallel(self) -> int:
        """How many chunks it can work on at once."""

    @property
    def languages(self) -> frozenset[str] | None:
        """ISO 639-1 codes that it knows; None when nobody can say."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """How else than plainly it can decode. ``HALVES`` needs nothing of it and is not named."""

    async def transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        """The words of one chunk.

        Args:
            audio: 16 kHz mono float32 in [-1, 1], shape ``(samples,)``, at most 30 s.
            language: ISO 639-1; None where the engine knows only one, or is to tell.
            way: ``PLAIN`` or one of ``ways``.

        Returns:
            Words with times in seconds relative to the chunk, inside it, never running backwards.

        Raises:
            ChunkUndecodableError: the engine cannot make anything of this chunk.
        """

    async def detect_language(self, audio: Audio) -> LanguageGuess:
        """Which language is spoken in one chunk, as for ``transcribe``."""
