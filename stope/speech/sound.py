"""What the samples of one chunk say by themselves: how loud it is when, and where speech is."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from stope.audio.activity import FRAME, Probabilities, speech_probabilities
from stope.audio.decode import Audio
from stope.models.audio import SAMPLE_RATE

FRAME_SECONDS = FRAME / SAMPLE_RATE

_SPEECH = 0.5
_HARDLY_SPEECH = 0.35
_FLOOR = 1e-6


class Sound:
    """One chunk. Levels are cheap; speech costs a twentieth of decoding it, once, if asked for.

    Args:
        audio: 16 kHz mono float32 in [-1, 1], shape ``(samples,)``.
    """

    def __init__(self, audio: Audio) -> None:
        self._audio = audio
        self.seconds = audio.size / SAMPLE_RATE

    @cached_property
    def levels(self) -> npt.NDArray[np.float32]:
        """RMS of every started frame of 512 samples in dB below full scale, at most 0."""
        frames = np.pad(self._audio, (0, -self._audio.size % FRAME)).reshape(-1, FRAME)
        power = np.einsum("ij,ij->i", frames, frames) / FRAME
        return np.asarray(10 * np.log10(power + _FLOOR**2), np.float32)

    @cached_property
    def loud(self) -> float:
        """The level that a twentieth of the chunk reaches, dB."""
        return float(np.percentile(self.levels, 95))

    @cached_property
    def probabilities(self) -> Probabilities:
        """Speech probability of every frame, from Silero, for this chunk alone."""
        samples = np.clip(np.rint(self._audio * 32768), -32768, 32767).astype(np.int16)
        return speech_probabilities([samples])

    @property
    def speech_seconds(self) -> float:
        """Seconds of speech in the whole chunk."""
        return self.speech_within(0, self.seconds)

    def speech_within(self, start: float, end: float) -> float:
        """Seconds of speech between two times."""
        return float((self._between(self.probabilities, start, end) >= _SPEECH).sum()) * (
            FRAME_SECONDS
        )

    def voiced(self, start: float, end: float) -> bool:
        """Whether anything between two times could be speech."""
        return bool((self._between(self.probabilities, start, end) >= _HARDLY_SPEECH).any())

    def loudest(self, start: float, end: float) -> float:
        """The highest level between two times, dB."""
        return float(self._between(self.levels, start, end).max())

    def quiet_sample(self) -> int:
        """A sample in the middle half of the chunk where it is as quiet as it gets for 0.2 s."""
        width = 7
        first, last = self.levels.size // 4, self.levels.size - self.levels.size // 4
        middle = self.levels[first:last]
        if middle.size < width:
            return self._audio.size // 2
        smooth = np.convolve(middle, np.ones(width) / width, mode="valid")
        return (first + int(np.argmin(smooth)) + width // 2) * FRAME

    @staticmethod
    def _between(
        frames: npt.NDArray[np.float32], start: float, end: float
    ) -> npt.NDArray[np.float32]:
        first = min(max(0, int(start / FRAME_SECONDS)), frames.size - 1)
        return frames[first : max(first + 1, int(np.ceil(end / FRAME_SECONDS)))]
