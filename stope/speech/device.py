"""Where speech is decoded: on a GPU when there is one, else on the processor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stope.errors import UsageError


class Device(StrEnum):
    """What the user asks for."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class ChosenDevice:
    """What is used. ``compute_type`` decides words, so it is part of every chunk's key.

    ``parallel`` chunks are decoded at once; None leaves it to the number of processor threads.
    """

    device: str
    compute_type: str
    parallel: int | None = None


ON_PROCESSOR = ChosenDevice("cpu", "int8")

_GPU_TYPES = ("float16", "int8_float16", "int8_float32", "float32")
"""The first that the GPU computes by itself; older ones have no fast half precision."""

_GPU_PARALLEL = 2
"""One chunk is decoded while the features of the next are made."""


def choose_device(asked: Device) -> ChosenDevice:
    """The device and the type of its arithmetic.

    Raises:
        UsageError: a GPU is asked for, and there is none that CTranslate2 can use.
    """
    if asked is Device.CPU:
        return ON_PROCESSOR
    # Imported here: commands that decode nothing look at the names above only.
    import ctranslate2

    if ctranslate2.get_cuda_device_count() == 0:
        if asked is Device.CUDA:
            raise UsageError(
                "The device cuda is asked for, but there is no NVIDIA GPU that CTranslate2 can "
                "use; install its driver, or use --device auto or cpu."
            )
        return ON_PROCESSOR
    supported = ctranslate2.get_supported_compute_types("cuda")
    compute_type = next(kind for kind in _GPU_TYPES if kind in supported)
    return ChosenDevice("cuda", compute_type, _GPU_PARALLEL)
