"""A transcriber that hears words in any sound, for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stope.audio.decode import Audio
from stope.errors import StopeError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, LanguageGuess, Word
from stope.speech.transcriber import Way

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
        answers: what to answer instead, by the digest of a chunk and the way it is decoded.
        guesses: which languages a chunk sounds like, by its digest; English for the others.
        languages: see ``Transcriber``.
        ways: see ``Transcriber``.
        parallel: see ``Transcriber``.

    Raises:
        AssertionError: from ``transcribe``, when the audio is not what the port asks for, or a
            way is asked for that ``ways`` does not offer.
    """

    def __init__(
        self,
        errors: Mapping[str, StopeError] | None = None,
        *,
        answers: Mapping[tuple[str, Way], str] | None = None,
        guesses: Mapping[str, LanguageGuess] | None = None,
        languages: frozenset[str] | None = frozenset({"en"}),
        ways: tuple[Way, ...] = (),
        parallel: int = 1,
    ) -> None:
        self.languages = languages
        self.ways = ways
        self.parallel = parallel
        self.heard: list[str] = []
        self.asked: list[tuple[str, str | None, Way]] = []
        self.guessed: list[str] = []
        self._errors = dict(errors or {})
        self._answers = dict(answers or {})
        self._guesses = dict(guesses or {})

    @property
    def identity(self) -> Mapping[str, object]:
        """Its name and version."""
        return {"engine": "scripted", "version": 2}

    async def transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        """See ``Transcriber``."""
        digest = _checked_digest(audio)
        if way is not Way.PLAIN and way not in self.ways:
            raise AssertionError(f"{way} is not one of {self.ways}")
        self.heard.append(digest)
        self.asked.append((digest, language, way))
        if digest in self._errors:
            raise self._errors[digest]
        seconds = audio.size / SAMPLE_RATE
        text = self._answers.get((digest, way))
        words = _words(digest, seconds) if text is None else _spread(text.split(), seconds)
        return ChunkTranscript(
            language=language or "en",
            utterances=tuple(
                tuple(words[first : first + _WORDS_PER_UTTERANCE])
                for first in range(0, len(words), _WORDS_PER_UTTERANCE)
            ),
            engine_seconds=0,
        )

    async def detect_language(self, audio: Audio) -> LanguageGuess:
        """See ``Transcriber``."""
        digest = _checked_digest(audio)
        self.guessed.append(digest)
        return self._guesses.get(digest, LanguageGuess(probabilities={"en": 1.0}))


def _checked_digest(audio: Audio) -> str:
    _check(audio)
    return digest_bytes(np.rint(audio * 32768).astype("<i2").tobytes())


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
    texts: list[str] = []
    for index in range(count):
        last = (index + 1) % _WORDS_PER_UTTERANCE == 0 or index + 1 == count
        letter = int(digest[index % len(digest)], 16)
        texts.append(_VOCABULARY[letter] + ("." if last else ""))
    return _spread(texts, seconds)


def _spread(texts: list[str], seconds: float) -> list[Word]:
    return [
        Word(
            text=text,
            start=_milliseconds(index * seconds / len(texts)),
            end=_milliseconds((index + 1) * seconds / len(texts)),
            probability=1,
        )
        for index, text in enumerate(texts)
    ]


def _milliseconds(seconds: float) -> float:
    """Cut, not rounded, so that no word ends after its chunk."""
    return int(seconds * 1000) / 1000
