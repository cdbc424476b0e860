"""Decoding with FFmpeg's libraries through PyAV: any container and codec they read.

A recording is decoded once, front to back, into a scratch file of 16 kHz mono 16-bit samples.
Windows are then exact slices of that file: seeking in compressed audio is not sample-exact in
every container, and a chunk must decode to the same samples after every crash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av import AudioStream, Packet
from av.container import InputContainer
from pydantic import TypeAdapter, ValidationError

from stope.audio.length import stated_length
from stope.audio.timeline import Samples, Timeline
from stope.errors import InputError
from stope.models.audio import SAMPLE_RATE, AudioDamage, AudioProbe
from stope.published import published
from stope.sources.source import Source, open_source

Audio = npt.NDArray[np.float32]

_BLOCK = SAMPLE_RATE * 30
_INT16 = 32768.0

_WHAT = "the decoded audio"

_COUNTED = {"mp3", "aac"}
"""Formats whose packets have no times; FFmpeg counts them."""

_BETWEEN_PACKETS = 4096
"""Bytes that a container with one stream puts between two packets at most."""

_NO_PROTOCOL = "none"
"""No protocol of FFmpeg's has this name, so that none is allowed."""

_DAMAGE = TypeAdapter(tuple[AudioDamage, ...])


def probe(recording: Path | Source) -> AudioProbe:
    """What the container says about its first audio stream.

    Raises:
        InputError: the recording is missing, empty, unreadable, or has no audio.
        StorageUnavailableError: it is remote and cannot be reached.
    """
    source = _as_source(recording)
    with open_media(source) as container:
        if not container.streams.audio:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(
                f"{source} has no audio stream (it holds {kinds}); give a recording with sound."
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


def decode_to_scratch(recording: Path | Source, scratch: Path) -> None:
    """Decode a recording to little-endian 16-bit samples, 16 kHz mono, published whole.

    Every sample stands at its time: silence fills what cannot be decoded, and ``scratch_damage``
    tells where.

    Raises:
        InputError: nothing of it can be decoded.
        StorageFullError: the disk of the scratch file has no room for it.
        StorageUnavailableError: it is remote and cannot be reached.
    """
    damage: list[AudioDamage] = []
    with published(scratch, what=_WHAT, durable=True) as stream:
        for block in _decoded(_as_source(recording), damage):
            stream.write(block.astype("<i2").tobytes())
        # Before the samples are published: whoever finds them finds what is missing in them.
        with published(_damage_file(scratch), what=_WHAT, durable=True) as notes:
            notes.write(_DAMAGE.dump_json(tuple(damage)))


def decode_once(recording: Path | Source, scratch: Path) -> None:
    """``decode_to_scratch``, unless it has been done."""
    if not is_decoded(scratch):
        decode_to_scratch(recording, scratch)


def is_decoded(scratch: Path) -> bool:
    """Whether there is a scratch file, with all that belongs to it.

    Whether its samples are the right ones is for who knows their digests.
    """
    try:
        scratch_damage(scratch)
    except (FileNotFoundError, ValidationError):
        return False
    return scratch.exists()


def scratch_damage(scratch: Path) -> tuple[AudioDamage, ...]:
    """What could not be decoded of the recording behind a scratch file, in order."""
    return _DAMAGE.validate_json(_damage_file(scratch).read_bytes())


def remove_scratch(scratch: Path) -> None:
    """Delete a scratch file and what belongs to it, if they are there."""
    scratch.unlink(missing_ok=True)
    _damage_file(scratch).unlink(missing_ok=True)


def _damage_file(scratch: Path) -> Path:
    return scratch.with_name(f"{scratch.name}.damage.json")


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


def open_media(source: Source) -> InputContainer:
    """A recording or video as FFmpeg reads it: the file itself, or by range what is remote.

    Raises:
        InputError: it is missing, empty, unreadable, or of no format that FFmpeg knows.
        StorageUnavailableError: it is remote and cannot be reached.
    """
    if source.path is not None:
        _check_file(source.path)
    elif source.size == 0:
        raise InputError(f"{source} is empty (0 bytes); give a recording.")
    try:
        # This file, never a protocol: a playlist inside must not make FFmpeg reach for others.
        if source.path is not None:
            return av.open(
                str(source.path.absolute()),
                mode="r",
                metadata_errors="replace",
                options={"protocol_whitelist": "file"},
            )
        return av.open(
            source.open(),
            mode="r",
            metadata_errors="replace",
            options={"protocol_whitelist": _NO_PROTOCOL},
        )
    except (av.FFmpegError, ValueError) as error:
        if source.failure is not None:
            raise source.failure from None
        raise InputError(
            f"{source} is not a recording that can be read ({_reason(error)}); give an audio or "
            "video file."
        ) from error


def _as_source(recording: Path | Source) -> Source:
    return open_source(recording) if isinstance(recording, Path) else recording


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the recordings in it.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: no permission; make it readable.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a recording.")


def _decoded(source: Source, damage: list[AudioDamage]) -> Iterator[Samples]:
    """The first audio stream as 16 kHz mono blocks; what is missing is added to ``damage``."""
    probe(source)
    failure: Exception | None = None
    with open_media(source) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_type = "AUTO"
        timeline = _timeline_of(source, container)
        reader = _Reader(container)
        while True:
            try:
                packet = reader.next()
                if packet is None:
                    break
                if reader.skipped(packet):
                    timeline.skipped()
                frames = packet.decode()
            except av.EOFError:
                break
            except av.FFmpegError as error:
                if source.failure is not None:
                    raise source.failure from None
                failure = error
                timeline.bad_packet(reader.uncounted_seconds())
                continue
            for frame in frames:
                yield from timeline.blocks(frame)
            if packet.is_corrupt:
                timeline.bad_packet()
        if source.failure is not None:
            raise source.failure
        yield from timeline.end()
    damage.extend(timeline.damage)
    if timeline.samples == 0:
        reason = _reason(failure) if failure else "it has no samples"
        raise InputError(
            f"Nothing of the audio in {source} can be decoded ({reason}); the file is damaged or "
            "has zero length."
        )


def _timeline_of(source: Source, container: InputContainer) -> Timeline:
    stream = container.streams.audio[0]
    begins = 0.0
    if len(container.streams) > 1 and stream.start_time is not None and stream.time_base:
        # Players count from where the first of the streams begins.
        first = (container.start_time or 0) / av.time_base
        begins = max(0.0, float(stream.start_time * stream.time_base) - first)
    return Timeline(
        stated_length(source, container),
        begins=begins,
        breaks_are_silence="matroska" in container.format.name,
    )


class _Reader:
    """Packets of a container's first audio stream, and the bytes that lie between them."""

    def __init__(self, container: InputContainer) -> None:
        self._stream = container.streams.audio[0]
        self._packets = container.demux(self._stream)
        self._names = set(container.format.name.split(","))
        self._alone = len(container.streams) == 1
        self._packet: Packet[AudioStream] | None = None
        self._end: int | None = None

    def next(self) -> Packet[AudioStream] | None:
        """The next packet, or None after the last."""
        self._packet = next(self._packets, None)
        return self._packet

    def skipped(self, packet: Packet[AudioStream]) -> bool:
        """Whether more bytes lie before a packet than a container puts between two."""
        if packet.pos is None or not packet.size or "matroska" not in self._names:
            return False
        before, self._end = self._end, packet.pos + packet.size
        return self._alone and before is not None and packet.pos - before > _BETWEEN_PACKETS

    def uncounted_seconds(self) -> float:
        """How much longer than it says the last packet is, by its bytes.

        Formats without times of their own count packets; one full of rubbish counts as one.
        """
        packet, rate = self._packet, self._stream.bit_rate
        if packet is None or not rate or not self._names & _COUNTED:
            return 0.0
        said = float((packet.duration or 0) * packet.time_base)
        return max(0.0, packet.size * 8 / rate - said)


def _reason(error: Exception) -> str:
    message = getattr(error, "strerror", None) or str(error)
    return str(message).strip().rstrip(".").lower()
