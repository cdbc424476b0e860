"""The timeline of a decoded stream: every sample at its time, and what is missing said.

Frames carry the times that their container gives them. Where a stretch between two frames is
missing, silence stands in its place, so that everything after it keeps its second.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from av import AudioFrame
from av.audio.resampler import AudioResampler

from stope.audio.length import StatedLength
from stope.models.audio import SAMPLE_RATE, AudioDamage

Samples = npt.NDArray[np.int16]

_TOLERANCE = 0.1
"""Seconds by which a frame's time may differ from where it falls: containers round."""

_BREAK = 0.5
"""A hole shorter than this, in a stream without a bad packet, is how some encoders send silence."""

_SHORTFALL = 0.5
"""Seconds that may be missing at the end: encoders pad."""

_LONGEST_HOLE = 3600.0
"""A longer hole is a clock that jumped, when nothing says how long the recording is."""

_MERGE = 2.0
_BLOCK = SAMPLE_RATE * 30


class Timeline:
    """Turns frames into 16 kHz mono blocks without holes, and remembers the holes.

    Args:
        length: what the file says of its end.
        begins: seconds of silence before the first frame, where other streams begin earlier.
        breaks_are_silence: whether a hole without a bad packet is a pause of the recorder's.
    """

    def __init__(
        self, length: StatedLength, *, begins: float = 0.0, breaks_are_silence: bool = False
    ) -> None:
        self._length = length
        self._breaks_are_silence = breaks_are_silence
        self._begins = begins
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._position = 0.0
        self._offset: float | None = None
        self._bad = False
        self._damage: list[AudioDamage] = []
        self.samples = 0
        """Samples given out so far, those of silence left out."""

    def bad_packet(self, lost: float = 0.0) -> None:
        """A packet could not be decoded.

        Args:
            lost: seconds it stood for, where the times of the packets after it do not count them.
        """
        self._bad = True
        if self._offset is not None:
            self._offset += lost

    def skipped(self) -> None:
        """The reader jumped over bytes that it could not make sense of."""
        self._bad = True

    def blocks(self, frame: AudioFrame) -> Iterator[Samples]:
        """A frame's samples, after silence for what is missing before it."""
        yield from self._align(frame)
        self._position += frame.samples / frame.sample_rate
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            # Joined files may change from mono to stereo on the way.
            yield from self._flush()
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._shape = shape
        assert self._resampler is not None  # noqa: S101  (made with the first shape)
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            yield self._counted(resampled)

    def end(self) -> Iterator[Samples]:
        """What the resampler still holds; then the end is compared with what the file says."""
        yield from self._flush()
        stated = self._length.seconds
        missing = stated is not None and stated - (self._position - self._begins) > _SHORTFALL
        if missing and stated is not None:
            self._note(self._begins + stated, "the file is cut off or damaged from here to its end")
        elif self._length.cut_off or self._bad:
            self._note(
                None, "the file is cut off here; how much is missing cannot be known from it"
            )

    @property
    def damage(self) -> tuple[AudioDamage, ...]:
        """What is missing, in order; holes close to each other are one."""
        merged: list[AudioDamage] = []
        for item in self._damage:
            last = merged[-1] if merged else None
            if last is not None and last.end is not None and item.start - last.end < _MERGE:
                merged[-1] = item.model_copy(update={"start": last.start})
            else:
                merged.append(item)
        return tuple(merged)

    def _align(self, frame: AudioFrame) -> Iterator[Samples]:
        """Silence up to a frame's time. A clock that jumps otherwise is set anew."""
        bad, self._bad = self._bad, False
        if frame.pts is None or frame.time_base is None:
            return
        time = float(frame.pts * frame.time_base)
        if self._offset is None:
            self._offset = self._begins - time
            if self._begins > _TOLERANCE:
                yield from self._silence(self._begins)
        missing = time + self._offset - self._position
        if abs(missing) <= _TOLERANCE:
            # A stream that was tapped begins in the middle of a packet; nothing is missing there.
            if bad and self._position:
                self._note(self._position, "the data is damaged here; some sound may be missing")
            return
        if missing < 0 or missing > self._room():
            self._offset -= missing
            return
        if bad or (missing >= _BREAK and not self._breaks_are_silence):
            self._note(
                self._position + missing,
                "no sound can be read here, so silence stands in its place: the file is damaged, "
                "or was recorded with a break",
            )
        yield from self._silence(missing)

    def _room(self) -> float:
        """How long a hole can be at most."""
        if self._length.seconds is None:
            return _LONGEST_HOLE
        return self._begins + self._length.seconds - self._position + _SHORTFALL

    def _silence(self, seconds: float) -> Iterator[Samples]:
        left = round((self._position + seconds) * SAMPLE_RATE) - round(self._position * SAMPLE_RATE)
        self._position += seconds
        while left > 0:
            block = np.zeros(min(left, _BLOCK), np.int16)
            left -= block.size
            yield block

    def _flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                yield self._counted(resampled)

    def _counted(self, frame: AudioFrame) -> Samples:
        block: Samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
        self.samples += block.size
        return block

    def _note(self, end: float | None, reason: str) -> None:
        self._damage.append(
            AudioDamage(
                start=round(self._position, 3),
                end=None if end is None else round(end, 3),
                reason=reason,
            )
        )
