"""Recordings of a wanted length, made of the example dialogues."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio
from numpy.typing import NDArray

from stope.errors import UsageError
from stope.models.audio import SAMPLE_RATE

_FADE = 0.02
"""Each time around the dialogues are so much quieter: equal chunks would be recognised once only,
and two hours would cost what fourteen minutes do."""


def joined(recordings: Sequence[Path], target: Path, seconds: float | None = None) -> float:
    """Write recordings one after another as 16 kHz mono WAV; returns its length in seconds.

    Args:
        recordings: what to join.
        target: the file to write.
        seconds: the length; the recordings are cut, or repeated. None: each of them once.

    Raises:
        UsageError: there is nothing to repeat.
    """
    left = None if seconds is None else round(seconds * SAMPLE_RATE)
    written = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(target), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        for turn in count():
            before = written
            for recording in recordings:
                samples = _samples(recording, 1 - _FADE * turn)
                if left is not None:
                    samples = samples[: left - written]
                out.writeframes(samples.tobytes())
                written += samples.size
            if left is None or written >= left:
                return written / SAMPLE_RATE
            if written == before:
                raise UsageError("There is no sound in the recordings to be repeated.")
    raise AssertionError("count() does not end")


def _samples(recording: Path, gain: float) -> NDArray[np.int16]:
    decoded: NDArray[np.float32] = decode_audio(str(recording), sampling_rate=SAMPLE_RATE)
    samples: NDArray[np.int16] = np.rint(decoded * (gain * 32767)).astype(np.int16)
    return samples
