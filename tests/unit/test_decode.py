"""Decoding damaged recordings: what is missing is named; every other second keeps its place."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from stope.audio.chunks import plan_chunks
from stope.audio.decode import (
    decode_once,
    decode_to_scratch,
    read_window,
    remove_scratch,
    scratch_damage,
    scratch_samples,
)
from stope.errors import InputError, StorageFullError
from stope.models.audio import SAMPLE_RATE, AudioDamage

SECONDS = 12
Damage = Callable[[bytes], bytes]


def cut(data: bytes) -> bytes:
    """The file ends early."""
    return data[: int(len(data) * 0.6)]


def zeroed(data: bytes) -> bytes:
    """A tenth of the file, in the middle, is lost; its length is kept."""
    first, last = len(data) // 2, len(data) // 2 + len(data) // 10
    return data[:first] + bytes(last - first) + data[last:]


def removed(data: bytes) -> bytes:
    """A tenth of the file, in the middle, is not there."""
    return data[: len(data) // 2] + data[len(data) // 2 + len(data) // 10 :]


def sweep() -> npt.NDArray[np.int16]:
    """A tone that rises with time: its pitch tells the second."""
    times = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * (200 * times + 50 * times**2))
    return (tone * 12_000).astype(np.int16)


def record(path: Path, codec: str, **options: str) -> Path:
    """The sweep in a file of a format."""
    samples = sweep()
    rate = 48_000 if codec == "libopus" else SAMPLE_RATE
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if codec not in ("flac", "pcm_s16le"):
            stream.bit_rate = 64_000
        resampler = av.AudioResampler(
            format=stream.codec_context.format.name,
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def pitch_second(scratch: Path, second: float) -> float:
    """The second that the sound at a second of a scratch file has by its pitch."""
    start = int(second * SAMPLE_RATE)
    window = read_window(scratch, start, start + 2048).astype(np.float64) * np.hanning(2048)
    hertz = float(np.argmax(np.abs(np.fft.rfft(window, 1 << 16)))) * SAMPLE_RATE / (1 << 16)
    return (hertz - 200) / 100 - 1024 / SAMPLE_RATE


def decoded(path: Path) -> tuple[Path, tuple[AudioDamage, ...]]:
    scratch = path.with_suffix(".s16")
    decode_to_scratch(path, scratch)
    return scratch, scratch_damage(scratch)


FORMATS = [
    ("talk.wav", "pcm_s16le", {}),
    ("talk.flac", "flac", {}),
    ("talk.mp3", "libmp3lame", {}),
    ("talk.opus", "libopus", {}),
    ("talk.webm", "libopus", {}),
    ("talk.m4a", "aac", {"movflags": "faststart"}),
    ("talk.ts", "aac", {}),
]


@pytest.mark.parametrize(("name", "codec", "options"), FORMATS)
def test_a_sound_recording_has_no_damage(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    scratch, damage = decoded(record(tmp_path / name, codec, **options))
    assert damage == ()
    assert scratch_samples(scratch) == pytest.approx(SECONDS * SAMPLE_RATE, abs=0.15 * SAMPLE_RATE)
    assert pitch_second(scratch, 10) == pytest.approx(10, abs=0.15)


@pytest.mark.parametrize(("name", "codec", "options"), FORMATS[:-1])
def test_a_recording_that_is_cut_off_says_where(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = record(tmp_path / name, codec, **options)
    path.write_bytes(cut(path.read_bytes()))
    scratch, [damage] = decoded(path)
    assert "cut off" in damage.reason
    assert damage.start == pytest.approx(scratch_samples(scratch) / SAMPLE_RATE, abs=0.05)
    assert 5 < damage.start < 9
    # Ogg counts from page to page and does not say how long the whole is.
    expected = None if name.endswith("opus") else pytest.approx(SECONDS, abs=0.15)
    assert damage.end == expected


@pytest.mark.parametrize("spoil", [zeroed, removed])
@pytest.mark.parametrize("name", ["talk.flac", "talk.opus", "talk.webm", "talk.ts"])
def test_a_hole_is_silence_of_its_length(tmp_path: Path, name: str, spoil: Damage) -> None:
    [(_, codec, options)] = [item for item in FORMATS if item[0] == name]
    path = record(tmp_path / name, codec, **options)
    path.write_bytes(spoil(path.read_bytes()))
    scratch, [damage] = decoded(path)
    assert damage.end is not None
    assert 0.5 < damage.end - damage.start < 6
    middle = int((damage.start + damage.end) / 2 * SAMPLE_RATE)
    assert not read_window(scratch, middle, middle + 160).any()
    assert pitch_second(scratch, 3) == pytest.approx(3, abs=0.15)
    assert pitch_second(scratch, 11) == pytest.approx(11, abs=0.15)


def test_rubbish_in_a_format_without_times_is_measured_by_its_bytes(tmp_path: Path) -> None:
    path = record(tmp_path / "talk.mp3", "libmp3lame")
    path.write_bytes(zeroed(path.read_bytes()))
    scratch, [damage] = decoded(path)
    assert damage.end is not None
    assert damage.end - damage.start == pytest.approx(SECONDS / 10, abs=0.3)
    assert pitch_second(scratch, 11) == pytest.approx(11, abs=0.2)


def test_two_recordings_joined_are_one(tmp_path: Path) -> None:
    first = record(tmp_path / "first.mp3", "libmp3lame", write_xing="0")
    path = tmp_path / "both.mp3"
    path.write_bytes(first.read_bytes() * 2)
    scratch, _ = decoded(path)
    assert scratch_samples(scratch) == pytest.approx(
        2 * SECONDS * SAMPLE_RATE, abs=0.3 * SAMPLE_RATE
    )


def test_the_plan_knows_the_damage_whoever_decoded(tmp_path: Path) -> None:
    path = record(tmp_path / "talk.flac", "flac")
    path.write_bytes(cut(path.read_bytes()))
    scratch = tmp_path / "folder" / "digest.s16"
    decode_once(path, scratch)
    path.unlink()
    decode_once(path, scratch)
    assert len(plan_chunks(scratch).damage) == 1
    remove_scratch(scratch)
    assert list(scratch.parent.iterdir()) == []


def test_a_power_loss_leaves_no_torn_file_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scratch = record(tmp_path / "talk.flac", "flac"), tmp_path / "digest.s16"
    on_disk: list[int] = []
    sync = os.fsync

    def seen(handle: int) -> None:
        sync(handle)
        assert not scratch.exists()
        on_disk.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", seen)
    decode_once(path, scratch)
    assert scratch.stat().st_size in on_disk
    assert len(on_disk) == len(list(tmp_path.glob("digest.s16*"))) == 2


@pytest.mark.parametrize("torn", [b"", bytes(20)])
def test_a_note_of_damage_that_is_torn_is_written_again(torn: bytes, tmp_path: Path) -> None:
    path, scratch = record(tmp_path / "talk.flac", "flac"), tmp_path / "digest.s16"
    decode_once(path, scratch)
    [note] = tmp_path.glob("digest.s16.*")
    note.write_bytes(torn)
    decode_once(path, scratch)
    assert scratch_damage(scratch) == ()


def test_nothing_half_written_stays_when_nothing_can_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
    with pytest.raises(InputError, match="zero length"):
        decode_to_scratch(path, tmp_path / "folder" / "digest.s16")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "talk.wav", "pcm_s16le")
    # The device that is always full stands for the disk.
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_full(), str(tmp_path / "draft")))
    with pytest.raises(StorageFullError, match=r"no room in .* free some space"):
        decode_to_scratch(path, tmp_path / "digest.s16")
    assert not (tmp_path / "digest.s16").exists()


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)
