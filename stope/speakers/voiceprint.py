"""Voice prints: 256 numbers for 0.8 seconds of a voice, close to each other for the same one.

The network is a d-vector embedder (Wan et al., "Generalized End-to-End Loss for Speaker
Verification", 2018) over 40 mel bands. Its features must be those it was trained on: 25 ms Hamming
windows every 10 ms in an FFT of 512, the power spectrum in Slaney's mel bands, the logarithm to
base 10.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor

from stope.audio.decode import Audio
from stope.errors import ModelFileError
from stope.models.audio import SAMPLE_RATE
from stope.speakers.clustering import Vectors, unit

WINDOW = 80
"""Frames of one voice print."""

FRAME_SECONDS = 0.01

_FFT = 512
_HOP = round(FRAME_SECONDS * SAMPLE_RATE)
_TAPER = 400
_BANDS = 40
_FLOOR = 1e-10

_LOUD = -0.3
"""Where the loudest twentieth of the features begins, in what the network tells apart best."""

_QUIET = -6.0
"""Bands that a telephone does not carry are empty: what they say is the same for all voices."""

Frames = npt.NDArray[np.float32]


class VoicePrinter:
    """The network, on the processor.

    Args:
        weights: the ONNX file.

    Raises:
        ModelFileError: the file is not that network.
    """

    def __init__(self, weights: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Several chunks are worked on at once instead: see ``EmbeddedDiarizer``.
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(weights), providers=["CPUExecutionProvider"], sess_options=options
            )
            [entry] = self._session.get_inputs()
        except Exception as error:  # onnxruntime raises types that it does not export
            raise ModelFileError(
                f"{weights} is not the speaker embedder ({error}); delete it and run `stope models "
                "pull`."
            ) from error
        self._input = entry.name

    def prints(self, windows: Frames) -> Vectors:
        """Voice prints of unit length, shape ``(windows, 256)``.

        Args:
            windows: mel frames, shape ``(windows, 80, 40)``. The weights are quantised for the
                whole batch at once: equal batches give equal prints.
        """
        [found] = self._session.run(None, {self._input: windows})
        return unit(np.asarray(found, np.float32))


def mel_frames(audio: Audio) -> Frames:
    """Mel frames every 10 ms, shape ``(frames, 40)``; the last 32 ms begin none.

    Frame ``i`` is centred 16 ms after ``i * 10`` ms.
    """
    if audio.size < _FFT:
        audio = np.pad(audio, (0, _FFT - audio.size))
    windows = np.lib.stride_tricks.sliding_window_view(audio, _FFT)[::_HOP]
    power = np.abs(np.fft.rfft(windows * _TAPERED, axis=1)) ** 2
    found: Frames = np.log10(power @ _MEL.T + _FLOOR).astype(np.float32)
    return found


def levelled(windows: Frames) -> Frames:
    """Mel frames of one chunk, brought to one loudness; what is next to nothing is made equal."""
    level = np.float32(_LOUD - np.quantile(windows, 0.95))
    found: Frames = np.maximum(windows + level, np.float32(_QUIET))
    return found


def _tapered() -> Frames:
    """A periodic Hamming window in the middle of the FFT's."""
    found = np.zeros(_FFT, np.float32)
    first = (_FFT - _TAPER) // 2
    phase = 2 * np.pi * np.arange(_TAPER) / _TAPER
    found[first : first + _TAPER] = 0.54 - 0.46 * np.cos(phase)
    return found


_TAPERED = _tapered()
_MEL = FeatureExtractor.get_mel_filters(SAMPLE_RATE, _FFT, _BANDS).astype(np.float32)
