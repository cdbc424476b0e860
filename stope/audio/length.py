"""How long a file says it is, where its format says so for certain.

FFmpeg guesses a duration where a format has none; a guess is no ground for calling a file cut off.
"""

from __future__ import annotations

import struct

import av
from av.container import InputContainer

from stope.models.frozen import Frozen
from stope.sources.source import Source

_EXACT = {"flac", "matroska", "mov", "mp4", "webm", "caf", "asf"}
"""FFmpeg's names of the formats whose header states the duration."""

_OGG_TAIL = 1 << 17
"""An Ogg page is at most 65,307 bytes long, so that the last one begins in here."""

_OGG_END_OF_STREAM = 4
_WAVE_UNKNOWN = {0, 0xFFFFFFFF}
_MPEG_FRAME_HEAD = 256


class StatedLength(Frozen):
    """What a file says of its own end.

    ``seconds`` is None where it says nothing; ``cut_off`` is there when its last block is not
    whole or its end mark is missing.
    """

    seconds: float | None = None
    cut_off: bool = False


def stated_length(source: Source, container: InputContainer) -> StatedLength:
    """The length that a file states. Reads a few blocks of it.

    Args:
        source: the file.
        container: the same file, open, with an audio stream.
    """
    names = set(container.format.name.split(","))
    if "ogg" in names:
        return StatedLength(cut_off=_ogg_cut_off(source))
    if "wav" in names:
        return _wave_length(source)
    if names & _EXACT or ("mp3" in names and _has_frame_count(source)):
        return StatedLength(seconds=_header_seconds(container))
    return StatedLength()


def _header_seconds(container: InputContainer) -> float | None:
    """The audio stream's own duration; the container's only where it holds nothing else."""
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tagged = _clock_seconds(stream.metadata.get("DURATION", ""))
    if tagged is not None:
        return tagged
    if len(container.streams) == 1 and container.duration is not None:
        return (container.duration - (container.start_time or 0)) / av.time_base
    return None


def _clock_seconds(text: str) -> float | None:
    """Seconds of ``HH:MM:SS.fraction``, as Matroska tags are written."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _ogg_cut_off(source: Source) -> bool:
    """Whether the last page is not whole, or is not marked as the last (RFC 3533, section 6)."""
    with source.open() as file:
        size = file.seek(0, 2)
        start = file.seek(max(0, size - _OGG_TAIL))
        tail = file.read()
    at = tail.rfind(b"OggS")
    header = tail[at : at + 27]
    if at < 0 or len(header) < 27:
        return True
    lacing = tail[at + 27 : at + 27 + header[26]]
    end = start + at + 27 + header[26] + sum(lacing)
    return len(lacing) < header[26] or end > size or not header[5] & _OGG_END_OF_STREAM


def _wave_length(source: Source) -> StatedLength:
    """What the header of a RIFF WAVE file says, whatever follows it."""
    byte_rate = 0
    size = source.size
    with source.open() as file:
        if file.read(4) != b"RIFF":
            return StatedLength()
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                if length in _WAVE_UNKNOWN or not byte_rate:
                    return StatedLength()
                return StatedLength(seconds=length / byte_rate, cut_off=file.tell() + length > size)
            body = file.tell()
            if name == b"fmt " and len(block := file.read(12)) == 12:
                byte_rate = struct.unpack("<8xI", block)[0]
            file.seek(body + length + length % 2)
    return StatedLength()


def _has_frame_count(source: Source) -> bool:
    """Whether an MP3's first frame is a Xing, Info or VBRI header, which counts the frames."""
    with source.open() as file:
        head = file.read(10)
        tagged = head[:3] == b"ID3" and len(head) == 10
        # The length of an ID3v2 tag has seven bits in each byte.
        length = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
        file.seek(10 + length if tagged else 0)
        first = file.read(_MPEG_FRAME_HEAD)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))
