"""Voice activity: the Silero model that faster-whisper carries, run as a stream.

The model gives one speech probability per 512 samples (32 ms). Its recurrent state is carried
from block to block, so a recording of any length takes the memory of one block.

Source: Silero VAD v6, https://github.com/snakers4/silero-vad (MIT).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from faster_whisper.utils import get_assets_path

from stope.audio.decode import as_float
from stope.audio.timeline import Samples

FRAME = 512
"""Samples per probability."""

_CONTEXT = 64
_STATE = (1, 1, 128)

Probabilities = npt.NDArray[np.float32]


def load_model() -> onnxruntime.InferenceSession:
    """The ONNX session, one thread."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        str(Path(get_assets_path()) / "silero_vad_v6.onnx"),
        providers=["CPUExecutionProvider"],
        sess_options=options,
    )


def speech_probabilities(blocks: Iterable[Samples]) -> Probabilities:
    """Speech probability of every started frame of 512 samples, shape ``(frames,)``.

    The last frame is padded with silence. Blocks may have any length.
    """
    session = load_model()
    state = (np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32))
    context = np.zeros(_CONTEXT, np.float32)
    rest = np.zeros(0, np.float32)
    found: list[Probabilities] = []

    def run(audio: npt.NDArray[np.float32]) -> None:
        nonlocal state, context
        frames = audio.reshape(-1, FRAME)
        before = np.concatenate([context[None], frames[:-1, -_CONTEXT:]])
        output, *new_state = session.run(
            None,
            {"input": np.concatenate([before, frames], axis=1), "h": state[0], "c": state[1]},
        )
        state = (new_state[0], new_state[1])
        context = frames[-1, -_CONTEXT:]
        found.append(np.asarray(output, np.float32).reshape(-1))

    for block in blocks:
        audio = np.concatenate([rest, as_float(block)])
        whole = audio.size - audio.size % FRAME
        if whole:
            run(audio[:whole])
        rest = audio[whole:]
    if rest.size:
        run(np.pad(rest, (0, FRAME - rest.size)))
    return np.concatenate(found) if found else np.zeros(0, np.float32)
