"""faster-whisper's own batched pipeline on a whole file, with the same weights."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.bench.child import serve
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.models_cache import CATALOGUE, ModelsCache
from stope.settings import Settings, load_settings
from stope.speech.device import Device, choose_device
from stope.speech.whisper import BEAM_SIZE

LANGUAGE = "en"


class WholeFileDone(Frozen):
    """What it took, with the model loaded before, and what it heard."""

    seconds: float
    text: str


class WholeFile:
    """Keeps its model between two recordings."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._model: WhisperModel | None = None

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One ``recording``, timed."""
        return await asyncio.to_thread(self._hear, Path(str(request["recording"])))

    def _hear(self, recording: Path) -> JsonObject:
        if self._model is None:
            self._model = _load(self._settings)
        began = time.perf_counter()
        segments, _ = BatchedInferencePipeline(self._model).transcribe(
            str(recording),
            language=LANGUAGE,
            beam_size=BEAM_SIZE,
            word_timestamps=True,
            vad_filter=True,
        )
        text = " ".join(segment.text.strip() for segment in segments)
        seconds = time.perf_counter() - began
        return WholeFileDone(seconds=seconds, text=text).model_dump(mode="json")


def _load(settings: Settings) -> WhisperModel:
    cache = ModelsCache(settings.models, settings.hub_timeout)
    chosen = choose_device(Device(settings.device))
    return WhisperModel(
        str(cache.ensure(CATALOGUE[settings.asr])),
        device=chosen.device,
        compute_type=chosen.compute_type,
        # Its own default is four threads, which are too many for a machine with fewer cores.
        cpu_threads=cores(),
        local_files_only=True,
    )


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    serve(WholeFile())
