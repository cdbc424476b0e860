"""faster-whisper: Whisper on CTranslate2."""

from __future__ import annotations

import asyncio
import logging
import time
import unicodedata
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError, ModelFileError, UsageError
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, LanguageGuess, Word
from stope.speech.device import ON_PROCESSOR, ChosenDevice, Device, choose_device
from stope.speech.transcriber import Way

log = logging.getLogger(__name__)

BEAM_SIZE = 5

METHOD = 2
"""Part of every chunk's key: raise it when the decoding here would give other words."""

_NO_REPEAT = {"no_repeat_ngram_size": 3, "repetition_penalty": 1.1}

_MOST_TOKENS = 224
"""For a doubtful chunk: a loop with timestamps would fill all of Whisper's 448."""

_SILENCE = 2.0
"""Seconds of silence around words that seem made up: with timestamps they are left out."""

_LEAST_PROBABILITY = 0.01
"""Languages less likely than this are left out of a guess."""


class WhisperTranscriber:
    """Decodes each chunk by itself, at temperature 0, so that a chunk always gives the same words.

    Args:
        folder: a CTranslate2 model folder.
        identity: what names the weights, for the chunks' keys.
        threads: processor threads in all.
        device: what to decode on; ``auto`` takes a GPU when there is one.

    Raises:
        ModelFileError: the folder holds no such model.
        UsageError: a GPU is asked for, and there is none that works.
    """

    ways = (Way.TIMESTAMPS, Way.NO_REPEAT)

    def __init__(
        self, folder: Path, identity: str, threads: int, device: Device = Device.AUTO
    ) -> None:
        self._identity = identity
        self._chosen = choose_device(device)
        # One thread per chunk and several chunks at once: on a processor this is faster than
        # several threads on one chunk, and chunks stay independent units.
        self.parallel = self._chosen.parallel or max(1, threads)
        self._model = _load(folder, self._chosen, self.parallel)
        if self._chosen.device == "cuda":
            problem = _problem(self._model)
            if problem is not None and device is Device.CUDA:
                raise UsageError(
                    f"The device cuda cannot be used ({problem}); install CUDA 12 with "
                    "cuBLAS and cuDNN 9, or use --device auto or cpu."
                )
            if problem is not None:
                log.warning("The GPU cannot be used (%s); decoding on the processor", problem)
                self._chosen = ON_PROCESSOR
                self.parallel = max(1, threads)
                self._model = _load(folder, self._chosen, self.parallel)
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="asr")

    @property
    def identity(self) -> Mapping[str, object]:
        """The weights and the decoding parameters."""
        return {
            "engine": f"faster-whisper {version('faster-whisper')}",
            "method": METHOD,
            "model": self._identity,
            "compute_type": self._chosen.compute_type,
            "beam_size": BEAM_SIZE,
            "temperature": 0,
        }

    @property
    def languages(self) -> frozenset[str]:
        """English alone, or all that Whisper knows."""
        return frozenset(self._model.supported_languages)

    async def transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        """See ``Transcriber``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transcribe, audio, language, way)

    async def detect_language(self, audio: Audio) -> LanguageGuess:
        """See ``Transcriber``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._detect, audio)

    def _transcribe(
        self, audio: Audio, language: str | None, way: Way = Way.PLAIN
    ) -> ChunkTranscript:
        started = time.monotonic()
        seconds = audio.size / SAMPLE_RATE
        if not self._model.model.is_multilingual:
            language = "en"
        try:
            if way is Way.TIMESTAMPS:
                segments, info = self._model.transcribe(
                    audio,
                    language=language,
                    beam_size=BEAM_SIZE,
                    temperature=0.0,
                    word_timestamps=True,
                    condition_on_previous_text=False,
                    hallucination_silence_threshold=_SILENCE,
                    max_new_tokens=_MOST_TOKENS,
                )
            else:
                # One chunk through the batched pipeline: no timestamp tokens and no second pass,
                # which was both faster and truer on our chunks than WhisperModel.transcribe. The
                # pipeline object keeps state between calls, so that each chunk gets a new one.
                segments, info = BatchedInferencePipeline(self._model).transcribe(
                    audio,
                    language=language,
                    beam_size=BEAM_SIZE,
                    temperature=0.0,
                    word_timestamps=True,
                    without_timestamps=True,
                    clip_timestamps=[{"start": 0.0, "end": seconds}],
                    batch_size=1,
                    **(_NO_REPEAT if way is Way.NO_REPEAT else {}),
                )
            utterances = _utterances(segments, seconds)
        except (RuntimeError, ValueError) as error:
            raise ChunkUndecodableError(f"faster-whisper could not decode it: {error}") from error
        return ChunkTranscript(
            language=info.language,
            utterances=utterances,
            engine_seconds=round(time.monotonic() - started, 3),
        )

    def _detect(self, audio: Audio) -> LanguageGuess:
        try:
            _, _, found = self._model.detect_language(audio=audio)
        except (RuntimeError, ValueError) as error:
            raise ChunkUndecodableError(f"faster-whisper could not decode it: {error}") from error
        return LanguageGuess(
            probabilities={
                language: round(min(max(float(probability), 0.0), 1.0), 4)
                for language, probability in found
                if probability >= _LEAST_PROBABILITY
            }
        )


def _load(folder: Path, chosen: ChosenDevice, parallel: int) -> WhisperModel:
    try:
        return WhisperModel(
            str(folder),
            device=chosen.device,
            compute_type=chosen.compute_type,
            cpu_threads=1,
            num_workers=parallel,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelFileError(
            f"{folder} does not hold a faster-whisper model ({error}); give a folder with "
            "model.bin, config.json and tokenizer.json, or a name from `stope models list`."
        ) from error


def _problem(model: WhisperModel) -> str | None:
    """Why a GPU does not compute: its libraries are looked for at the first use only."""
    try:
        model.encode(model.feature_extractor(np.zeros(SAMPLE_RATE, np.float32)))
    except RuntimeError as error:
        return str(error)
    return None


def _utterances(segments: Iterable[Segment], duration: float) -> tuple[tuple[Word, ...], ...]:
    found: list[tuple[Word, ...]] = []
    last = 0.0
    for segment in segments:
        words = _words(segment, last, duration)
        if words:
            found.append(words)
            last = words[-1].end or last
    return tuple(found)


def _words(segment: Segment, last: float, duration: float) -> tuple[Word, ...]:
    words: list[Word] = []
    for word in segment.words or ():
        text = word.word.strip()
        if not text:
            continue
        start = min(max(float(word.start), last), duration)
        end = min(max(float(word.end), start), duration)
        last = end
        probability = min(max(float(word.probability), 0.0), 1.0)
        if words and not word.word.startswith(" ") and not text[0].isalnum():
            # Whisper's tokens part "7" from ",500" and "60" from "%": they are one word.
            before = words.pop()
            text, start = before.text + text, before.start or 0.0
            probability = min(probability, before.probability or 0.0)
        if all(unicodedata.category(letter).startswith("P") for letter in text):
            # Over silence Whisper writes full stops: nothing was said.
            continue
        words.append(
            Word(
                text=text,
                start=round(start, 3),
                end=round(end, 3),
                probability=round(probability, 4),
            )
        )
    return tuple(words)
