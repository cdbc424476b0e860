"""The ASR port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from stope.audio.decode import Audio
from stope.models.transcript import ChunkTranscript


class Transcriber(Protocol):
    """Turns one chunk of speech into words with times."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything about the engine that decides its output; part of every chunk's key."""

    @property
    def parallel(self) -> int:
        """How many chunks it can work on at once."""

    async def transcribe(self, audio: Audio, language: str | None) -> ChunkTranscript:
        """The words of one chunk.

        Args:
            audio: 16 kHz mono float32 in [-1, 1], shape ``(samples,)``, at most 30 s.
            language: ISO 639-1, or None to detect it.

        Returns:
            Words with times in seconds relative to the chunk, inside it, never running backwards.

        Raises:
            ChunkUndecodableError: the engine cannot make anything of this chunk.
        """
