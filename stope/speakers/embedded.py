"""The embedded diarizer: Silero's speech regions, voice prints, clustering."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from stope.audio.activity import FRAME, Probabilities, speech_probabilities
from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan
from stope.models.diarization import Turn
from stope.speakers.changes import VoiceTrack, turns_of
from stope.speakers.voiceprint import (
    FRAME_SECONDS,
    WINDOW,
    Frames,
    VoicePrinter,
    levelled,
    mel_frames,
)
from stope.speakers.voices import ChunkVoices, Region, windows_of

METHOD = 1
"""Part of every unit's key: raise it when the same sound would give other prints."""

_SPEECH = 0.5
_SILENCE = 0.35
_MIN_PAUSE = 0.2
_MIN_REGION = 0.1


class EmbeddedDiarizer:
    """Hears each chunk of the chunk plan by itself, on the processor.

    Args:
        weights: the ONNX file of the voice printer.
        identity: what names the weights, for the units' keys.
        threads: processor threads in all.
    """

    def __init__(self, weights: Path, identity: str, threads: int) -> None:
        self._identity = identity
        self._printer = VoicePrinter(weights)
        self.parallel = max(1, threads)
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="diarize")

    @property
    def identity(self) -> Mapping[str, object]:
        """The weights and the method."""
        return {"engine": "embedded", "method": METHOD, "model": self._identity}

    @property
    def heard(self) -> type[ChunkVoices]:
        """Voice prints."""
        return ChunkVoices

    def stretches(self, plan: ChunkPlan) -> Sequence[Chunk]:
        """The chunks themselves."""
        return plan.chunks

    async def hear(self, audio: Audio) -> ChunkVoices:
        """See ``Diarizer``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hear, audio)

    def turns(
        self, heard: Sequence[tuple[Chunk, ChunkVoices]], speakers: int | None
    ) -> tuple[Turn, ...]:
        """See ``Diarizer``."""
        return turns_of(VoiceTrack.joined(heard), speakers)

    def _hear(self, audio: Audio) -> ChunkVoices:
        whole = np.rint(audio * 32768).astype(np.int16)
        regions = speech_regions(speech_probabilities([whole]), audio.size / SAMPLE_RATE)
        windows = [window for region in regions for window in windows_of(region)]
        if not windows:
            return ChunkVoices(regions=(), prints="")
        frames = mel_frames(audio)
        try:
            cut = np.stack([_cut(frames, window) for window in windows])
            prints = self._printer.prints(levelled(cut))
        except Exception as error:  # onnxruntime raises types that it does not export
            raise ChunkUndecodableError(f"its voices cannot be told apart: {error}") from error
        return ChunkVoices(regions=tuple(regions), prints=ChunkVoices.packed(prints))


def speech_regions(probabilities: Probabilities, seconds: float) -> list[Region]:
    """Stretches of speech without a pause of a fifth of a second.

    Args:
        probabilities: speech probability per frame of 512 samples.
        seconds: length of the audio.
    """
    regions: list[Region] = []
    start: float | None = None
    silent_since: float | None = None
    for index, probability in enumerate(probabilities):
        at = index * FRAME / SAMPLE_RATE
        if probability >= _SPEECH:
            silent_since = None
            start = at if start is None else start
        elif start is not None and probability < _SILENCE:
            silent_since = at if silent_since is None else silent_since
            if at - silent_since >= _MIN_PAUSE:
                regions.append((start, silent_since))
                start = silent_since = None
    if start is not None:
        regions.append((start, min(seconds, silent_since or seconds)))
    return [
        (round(start, 3), round(end, 3)) for start, end in regions if end - start >= _MIN_REGION
    ]


def _cut(frames: Frames, window: Region) -> Frames:
    """The 80 frames of a window. One that is shorter is repeated until it is as long."""
    first = min(round(window[0] / FRAME_SECONDS), len(frames) - 1)
    count = min(round((window[1] - window[0]) / FRAME_SECONDS), WINDOW, len(frames) - first)
    return np.resize(frames[first : first + max(count, 1)], (WINDOW, frames.shape[1]))
