"""Recordings and the chunks they are decoded in."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen

SAMPLE_RATE = 16_000
"""Samples per second of all audio inside Stope: 16 kHz mono float32 in [-1, 1]."""

CHUNK_PLAN_VERSION = 2
"""Part of every chunk plan's key: raise it when ``stope.audio.chunks`` would cut differently."""


class AudioProbe(Frozen):
    """What a container says about its first audio stream."""

    container: str
    codec: str
    sample_rate: int = Field(gt=0)
    channels: int = Field(gt=0)
    duration: float | None = Field(
        default=None, ge=0, description="seconds, if the container knows"
    )


class Chunk(Frozen):
    """A stretch of a recording that is decoded and recognised as one unit.

    ``start_sample`` and ``end_sample`` count 16 kHz samples from the start of the recording;
    ``digest`` is the SHA-256 of those samples as little-endian 16-bit integers.
    """

    id: str
    start_sample: int = Field(ge=0)
    end_sample: int = Field(gt=0)
    digest: str

    @property
    def start(self) -> float:
        """Start in seconds."""
        return self.start_sample / SAMPLE_RATE

    @property
    def end(self) -> float:
        """End in seconds."""
        return self.end_sample / SAMPLE_RATE


class AudioDamage(Frozen):
    """A stretch of a recording, in seconds, that cannot be decoded; silence stands in its place.

    ``end`` is None where the file was cut off and nothing says how much is missing.
    """

    start: float = Field(ge=0)
    end: float | None = Field(default=None, ge=0)
    reason: str = Field(description="one sentence for a person")


class ChunkPlan(Frozen):
    """The stored, immutable cut of a recording into chunks of speech."""

    samples: int = Field(ge=0, description="16 kHz samples in the whole recording")
    chunks: tuple[Chunk, ...]
    damage: tuple[AudioDamage, ...] = ()

    @property
    def duration(self) -> float:
        """Length of the recording in seconds."""
        return self.samples / SAMPLE_RATE
