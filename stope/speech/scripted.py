"""A transcriber that hears words in any sound, for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stope.audio.decode import Audio
from stope.errors import StopeError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, Word

MAX_SECONDS = 30
"""Nobody may give a transcriber more."""

_WORDS_PER_SECOND = 2
_WORDS_PER_UTTERANCE = 8
_VOCABULARY = (
    *("bees", "pollinate", "a", "third", "of", "our", "crops", "and"),
    *("every", "hive", "will", "need", "more", "water", "by", "spring"),
)


class ScriptedTranscriber:
    """Makes words from the digest of the samples: equal sound gives equal words, in any process.

    Args:
        errors: what to raise instead, by the digest of a chunk (``Chunk.digest``).
        parallel: see ``Transcriber``.

    Raises:
        AssertionError: from ``transcribe``, when the audio is not what the port asks for.
    """

    def __init__(
        self, errors: Mapping[str, StopeError] | None = None, *, parallel: int = 1
    ) -> None:
        self.parallel = parallel
        self.heard: list[str] = []
        self._errors = dict(errors or {})

    @property
    def identity(self) -> Mapping[str, object]:
        """Its name and version."""
        return {"engine": "scripted", "version": 1}

    async def transcribe(self, audio: Audio, language: str | None) -> ChunkTranscript:
        """See ``Transcriber``."""
        _check(audio)
        digest = digest_bytes(np.rint(audio * 32768).astype("<i2").tobytes())
        self.heard.append(digest)
        if digest in self._errors:
            raise self._errors[digest]
        words = _words(digest, audio.size / SAMPLE_RATE)
        return ChunkTranscript(
            language=language or "en",
            utterances=tuple(
                tuple(words[first : first + _WORDS_PER_UTTERANCE])
                for first in range(0, len(words), _WORDS_PER_UTTERANCE)
            ),
            engine_seconds=0,
        )


def _check(audio: Audio) -> None:
    if audio.dtype != np.float32 or audio.ndim != 1:
        raise AssertionError(f"float32 of one dimension is asked for, not {audio.dtype}")
    if not 0 < audio.size <= MAX_SECONDS * SAMPLE_RATE:
        raise AssertionError(f"{audio.size} samples are not a chunk of at most {MAX_SECONDS} s")
    if float(np.abs(audio).max()) > 1:
        raise AssertionError("samples lie outside [-1, 1]")


def _words(digest: str, seconds: float) -> list[Word]:
    """Words evenly over the chunk, one at least; a full stop ends every utterance."""
    count = max(1, int(seconds * _WORDS_PER_SECOND))
    pace = seconds / count
    words: list[Word] = []
    for index in range(count):
        last = (index + 1) % _WORDS_PER_UTTERANCE == 0 or index + 1 == count
        letter = int(digest[index % len(digest)], 16)
        words.append(
            Word(
                text=_VOCABULARY[letter] + ("." if last else ""),
                start=_milliseconds(index * pace),
                end=_milliseconds((index + 1) * pace),
                probability=1,
            )
        )
    return words


def _milliseconds(seconds: float) -> float:
    """Cut, not rounded, so that no word ends after its chunk."""
    return int(seconds * 1000) / 1000
