"""Any server that speaks OpenAI's transcription protocol, through the ``openai`` client.

``POST /audio/transcriptions`` with ``verbose_json`` and both granularities of times. See
https://platform.openai.com/docs/api-reference/audio/createTranscription.
"""

from __future__ import annotations

import io
import math
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import openai
from openai import AsyncOpenAI
from pydantic import BaseModel, Field, ValidationError

from stope.audio.decode import Audio
from stope.errors import ProviderRejectedError, ProviderUnavailableError
from stope.llm.governor import Governor
from stope.llm.openai_chat import translate
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, Flag, FlagKind, LanguageGuess, Word
from stope.speech.languages import language_code
from stope.speech.transcriber import Way
from stope.speech.word_times import TimedText, time_words
from stope.utterances import cut_utterances
from stope.wording import normalise

METHOD = 1
"""Part of every chunk's key: raise it when an answer would be read otherwise."""

_TEMPERATURES = {Way.PLAIN: 0.0, Way.WARMER: 0.4}

GUESSED_SECONDS = 10.0
"""Words that are spread over more than this have no times worth a click."""


class _Timed(BaseModel):
    start: float = Field(allow_inf_nan=False)
    end: float = Field(allow_inf_nan=False)


class _AnswerWord(_Timed):
    word: str


class _AnswerSegment(_Timed):
    text: str
    avg_logprob: float | None = None


class _Answer(BaseModel):
    """What the server says, as far as we read it."""

    text: str
    language: str | None = None
    words: list[_AnswerWord] | None = None
    segments: list[_AnswerSegment] | None = None


class OpenAITranscriber:
    """One model on one server. It never retries: Temporal does.

    Args:
        label: the name the user gave, for messages.
        model: the model's name on the server.
        identity: what names it in keys.
        base_url: the server, with ``/v1``; None for OpenAI's own.
        api_key: the secret, never shown.
        parallel: calls in flight that serve it well.
        timeout: seconds one call may take.
        governor: lets the calls to its provider begin; None where nothing holds them back.
    """

    languages: frozenset[str] | None = None
    ways = (Way.WARMER,)

    def __init__(
        self,
        *,
        label: str,
        model: str,
        identity: str,
        base_url: str | None,
        api_key: str,
        parallel: int,
        timeout: float,
        governor: Governor | None = None,
    ) -> None:
        self._governor = governor
        self.parallel = parallel
        self._label = label
        self._model = model
        self._identity = identity
        self._client = AsyncOpenAI(
            base_url=base_url, api_key=api_key, timeout=timeout, max_retries=0
        )

    @property
    def identity(self) -> Mapping[str, object]:
        """The model, its server, and how its answers are read."""
        return {"engine": "openai-transcriptions", "method": METHOD, "model": self._identity}

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        """See ``Transcriber``; without a language the server tells it.

        Raises:
            ProviderRejectedError: the server refuses, or speaks another protocol.
            ProviderRateLimitedError: it asks for fewer requests.
            ProviderUnavailableError: it cannot be reached, fails, or answers with broken JSON.
        """
        started = time.monotonic()
        answer = _read(await self._ask(audio, language, way), self._label)
        words, flags = _words(answer, audio.size / SAMPLE_RATE)
        return ChunkTranscript(
            language=language or language_code(answer.language or "") or "und",
            utterances=tuple(
                tuple(words[part.first_word : part.end_word]) for part in cut_utterances(words)
            ),
            engine_seconds=round(time.monotonic() - started, 3),
            flags=tuple(flags),
        )

    async def detect_language(self, audio: Audio) -> LanguageGuess:
        """See ``Transcriber``. It costs a transcription, which the guess carries."""
        heard = await self.transcribe(audio, None)
        known = heard.language != "und"
        return LanguageGuess(
            probabilities={heard.language: 1.0} if known else {},
            transcript=heard if known else None,
        )

    async def _ask(self, audio: Audio, language: str | None, way: Way) -> str:
        # The client's own answer types trust the server; ours are checked.
        create: Any = self._client.audio.transcriptions.with_raw_response.create

        async def call() -> Any:
            try:
                return await create(
                    file=("chunk.wav", _wav(audio), "audio/wav"),
                    model=self._model,
                    response_format="verbose_json",
                    timestamp_granularities=["word", "segment"],
                    temperature=_TEMPERATURES[way],
                    **({} if language is None else {"language": language}),
                )
            except openai.OpenAIError as error:
                raise translate(error, self._label) from error

        reply = await (call() if self._governor is None else self._governor.call(call))
        if "html" in reply.headers.get("content-type", ""):
            raise ProviderRejectedError(
                f"{self._label} answers with a web page; check the base URL, which usually ends "
                "in /v1."
            )
        return str(reply.text)


def _read(body: str, label: str) -> _Answer:
    try:
        return _Answer.model_validate_json(body)
    except ValidationError as error:
        kinds = {problem["type"] for problem in error.errors()}
        if "json_invalid" in kinds:
            raise ProviderUnavailableError(
                f"{label} answered with something that is not JSON; it is asked again."
            ) from error
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ProviderRejectedError(
            f"{label} does not answer as OpenAI's transcription protocol says ({where or 'body'}: "
            f"{error.errors()[0]['msg']}); check the base URL, which usually ends in /v1, and that "
            "the model gives verbose_json."
        ) from error


def _words(answer: _Answer, duration: float) -> tuple[list[Word], list[Flag]]:
    pieces = [piece for piece in answer.segments or () if piece.text.strip()]
    if normalise(" ".join(piece.text for piece in pieces)) != normalise(answer.text):
        # The segments are cut off, or there are none: the text is whole.
        pieces = []
    stretches = [TimedText(piece.text, piece.start, piece.end) for piece in pieces] or (
        [TimedText(answer.text, 0.0, duration)] if answer.text.strip() else []
    )
    hints = [TimedText(item.word, item.start, item.end) for item in answer.words or ()]
    timed, known = time_words(stretches, hints, duration)
    words = [
        Word(
            text=item.text,
            start=_milliseconds(item.start),
            end=_milliseconds(item.end),
            probability=_probability(item, pieces),
        )
        for item in timed
    ]
    return words, [] if pieces else list(_guessed(words, known))


def _probability(word: TimedText, pieces: Sequence[_AnswerSegment]) -> float | None:
    """That of the segment in which a word stands; None where the server does not say."""
    middle = (word.start + word.end) / 2
    for piece in pieces:
        if piece.avg_logprob is not None and piece.start <= middle <= piece.end:
            return round(min(math.exp(min(piece.avg_logprob, 0.0)), 1.0), 4)
    return None


def _guessed(words: Sequence[Word], known: Sequence[bool]) -> Iterator[Flag]:
    """Flags where words without times of their own are spread over a long stretch."""
    first = 0
    for index in range(len(words) + 1):
        if index < len(words) and not known[index]:
            continue
        if index > first:
            start, end = words[first].start or 0.0, words[index - 1].end or 0.0
            if end - start > GUESSED_SECONDS:
                yield Flag(
                    kind=FlagKind.LOW_CONFIDENCE,
                    start=start,
                    end=end,
                    first_word=first,
                    end_word=index,
                    note="The server gives no times for these words; theirs are estimates.",
                )
        first = index + 1


def _milliseconds(seconds: float) -> float:
    """Cut, not rounded, so that no word ends after its chunk."""
    return int(seconds * 1000) / 1000


def _wav(audio: Audio) -> bytes:
    """16-bit WAV, which every server reads."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        samples = np.clip(np.rint(audio * 32768), -32768, 32767).astype("<i2")
        stream.writeframes(samples.tobytes())
    return buffer.getvalue()
