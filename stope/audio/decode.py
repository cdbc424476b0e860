"""Decoding with FFmpeg's libraries through PyAV: any container and codec they read.

A recording is decoded once, front to back, into a scratch file of 16 kHz mono 16-bit samples.
Windows are then exact slices of that file: seeking in compressed audio is not sample-exact in
every container, and a chunk must decode to the same samples after every crash.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from stope.errors import InputError
from stope.models.audio import SAMPLE_RATE, AudioProbe

Samples = npt.NDArray[np.int16]
Audio = npt.NDArray[np.float32]

_BLOCK = SAMPLE_RATE * 30
_INT16 = 32768.0


def probe(path: Path) -> AudioProbe:
    """What the container says about its first audio stream.

    Raises:
        InputError: the file is missing, empty, unreadable, or has no audio.
    """
    with _open(path) as container:
        if not container.streams.audio:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(
                f"{path} has no audio stream (it holds {kinds}); give a recording with sound."
            )
        stream = container.streams.audio[0]
        duration: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / av.time_base
        return AudioProbe(
            container=container.format.name,
            codec=stream.codec_context.name,
            sample_rate=stream.codec_context.sample_rate,
            channels=stream.codec_context.channels,
            duration=duration if duration is None or duration >= 0 else None,
        )


def decode_to_scratch(path: Path, scratch: Path) -> None:
    """Decode a recording to little-endian 16-bit samples, 16 kHz mono, published whole.

    Raises:
        InputError: nothing of it can be decoded.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=scratch.parent, prefix=f"{scratch.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            for block in _decoded(path):
                stream.write(block.astype("<i2").tobytes())
        temporary.replace(scratch)
    finally:
        temporary.unlink(missing_ok=True)


def scratch_samples(scratch: Path) -> int:
    """How many samples a scratch file holds."""
    return scratch.stat().st_size // 2


def read_window(scratch: Path, start: int, end: int) -> Samples:
    """Samples ``[start, end)`` of a scratch file, shape ``(end - start,)``."""
    return np.fromfile(scratch, dtype="<i2", count=end - start, offset=2 * start)


def scratch_blocks(scratch: Path) -> Iterator[Samples]:
    """A scratch file in blocks of 30 seconds; the last one may be shorter."""
    samples = scratch_samples(scratch)
    for start in range(0, samples, _BLOCK):
        yield read_window(scratch, start, min(samples, start + _BLOCK))


def as_float(samples: Samples) -> Audio:
    """16-bit samples as float32 in [-1, 1)."""
    return samples.astype(np.float32) / _INT16


def _open(path: Path) -> InputContainer:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the recordings in it.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: no permission; make it readable.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a recording.")
    try:
        # A file, never a protocol: a playlist inside must not make FFmpeg reach for others.
        return av.open(
            str(path.absolute()),
            mode="r",
            metadata_errors="replace",
            options={"protocol_whitelist": "file"},
        )
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path} is not a recording that can be read ({_reason(error)}); give an audio or "
            "video file."
        ) from error


def _decoded(path: Path) -> Iterator[Samples]:
    """The first audio stream as 16 kHz mono blocks. Damaged packets are stepped over."""
    probe(path)
    total = 0
    damaged: Exception | None = None
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with _open(path) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except av.FFmpegError as error:
                if isinstance(error, av.EOFError):
                    break
                damaged = error
                continue
            for frame in frames:
                for resampled in resampler.resample(frame):
                    block = resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                    total += block.size
                    yield block
        for resampled in resampler.resample(None):
            block = resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            total += block.size
            yield block
    if total == 0:
        reason = _reason(damaged) if damaged else "it has no samples"
        raise InputError(
            f"Nothing of the audio in {path} can be decoded ({reason}); the file is damaged or "
            "has zero length."
        )


def _reason(error: Exception) -> str:
    message = getattr(error, "strerror", None) or str(error)
    return str(message).strip().rstrip(".").lower()
