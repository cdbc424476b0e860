"""Recordings of a wanted length: cut or repeated, and no second time equal to the first."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench.audio import joined
from stope.models.audio import SAMPLE_RATE


def tone(path: Path, seconds: float, hertz: float) -> Path:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (10_000 * np.sin(2 * np.pi * hertz * times)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(samples.tobytes())
    return path


def samples_of(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


@pytest.fixture
def tones(tmp_path: Path) -> list[Path]:
    return [tone(tmp_path / "low.wav", 0.5, 200), tone(tmp_path / "high.wav", 0.25, 800)]


def test_without_a_length_each_recording_is_there_once(tones: list[Path], tmp_path: Path) -> None:
    assert joined(tones, tmp_path / "out.wav") == pytest.approx(0.75, abs=0.01)
    assert samples_of(tmp_path / "out.wav").size == pytest.approx(0.75 * SAMPLE_RATE, abs=160)


def test_a_length_is_kept_to_the_sample(tones: list[Path], tmp_path: Path) -> None:
    assert joined(tones, tmp_path / "out.wav", 0.6) == 0.6
    assert joined(tones, tmp_path / "out.wav", 2.0) == 2.0
    assert samples_of(tmp_path / "out.wav").size == 2 * SAMPLE_RATE


def test_a_repetition_is_quieter_so_that_its_chunks_are_new(
    tones: list[Path], tmp_path: Path
) -> None:
    joined(tones, tmp_path / "out.wav", 1.5)
    samples = samples_of(tmp_path / "out.wav")
    half = samples.size // 2
    first, second = samples[:half], samples[half : 2 * half]
    assert not np.array_equal(first, second)
    assert abs(second).max() == pytest.approx(0.98 * abs(first).max(), rel=0.01)
