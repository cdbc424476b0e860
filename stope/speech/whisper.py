"""faster-whisper: Whisper on CTranslate2."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError, ModelFileError
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, Word

BEAM_SIZE = 5

METHOD = 1
"""Part of every chunk's key: raise it when the decoding here would give other words."""


class WhisperTranscriber:
    """Decodes each chunk by itself, at temperature 0, so that a chunk always gives the same words.

    Args:
        folder: a CTranslate2 model folder.
        identity: what names the weights, for the chunks' keys.
        threads: processor threads in all.
    """

    def __init__(self, folder: Path, identity: str, threads: int) -> None:
        self._identity = identity
        # One thread per chunk and several chunks at once: on a processor this is faster than
        # several threads on one chunk, and chunks stay independent units.
        self.parallel = max(1, threads)
        try:
            self._model = WhisperModel(
                str(folder),
                device="auto",
                compute_type="int8",
                cpu_threads=1,
                num_workers=self.parallel,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelFileError(
                f"{folder} does not hold a faster-whisper model ({error}); give a folder with "
                "model.bin, config.json and tokenizer.json, or a name from `stope models list`."
            ) from error
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="asr")

    @property
    def identity(self) -> Mapping[str, object]:
        """The weights and the decoding parameters."""
        return {
            "engine": f"faster-whisper {version('faster-whisper')}",
            "method": METHOD,
            "model": self._identity,
            "compute_type": "int8",
            "beam_size": BEAM_SIZE,
            "temperature": 0,
        }

    async def transcribe(self, audio: Audio, language: str | None) -> ChunkTranscript:
        """See ``Transcriber``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transcribe, audio, language)

    def _transcribe(self, audio: Audio, language: str | None) -> ChunkTranscript:
        started = time.monotonic()
        seconds = audio.size / SAMPLE_RATE
        try:
            # One chunk through the batched pipeline: no timestamp tokens and no second pass, which
            # was both faster and truer on our chunks than WhisperModel.transcribe. The pipeline
            # object keeps state between calls, so that each chunk gets a new one.
            segments, info = BatchedInferencePipeline(self._model).transcribe(
                audio,
                language=language if self._model.model.is_multilingual else "en",
                beam_size=BEAM_SIZE,
                temperature=0.0,
                word_timestamps=True,
                without_timestamps=True,
                clip_timestamps=[{"start": 0.0, "end": seconds}],
                batch_size=1,
            )
            utterances = tuple(_words(segment, seconds) for segment in segments)
        except (RuntimeError, ValueError) as error:
            raise ChunkUndecodableError(f"faster-whisper could not decode it: {error}") from error
        return ChunkTranscript(
            language=info.language,
            utterances=tuple(words for words in utterances if words),
            engine_seconds=round(time.monotonic() - started, 3),
        )


def _words(segment: Segment, duration: float) -> tuple[Word, ...]:
    words: list[Word] = []
    last = 0.0
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
        words.append(
            Word(
                text=text,
                start=round(start, 3),
                end=round(end, 3),
                probability=round(probability, 4),
            )
        )
    return tuple(words)
