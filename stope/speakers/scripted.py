"""A diarizer that follows a script, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stope.audio.decode import Audio
from stope.errors import StopeError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan
from stope.models.diarization import Turn
from stope.models.frozen import Frozen


class ScriptedVoices(Frozen):
    """What it heard: who spoke how long, one after the other, from the start of the stretch."""

    digest: str
    seconds: float


class ScriptedDiarizer:
    """Two speakers take turns, one in each chunk, or as many as are known to be there.

    Args:
        errors: what to raise instead, by the digest of a chunk (``Chunk.digest``).
        trouble: what ``turns`` raises instead.
        parallel: see ``Diarizer``.

    Raises:
        AssertionError: when it is not asked as the port says.
    """

    def __init__(
        self,
        errors: Mapping[str, StopeError] | None = None,
        *,
        trouble: Exception | None = None,
        parallel: int = 1,
    ) -> None:
        self.parallel = parallel
        self.listened: list[str] = []
        self._errors = dict(errors or {})
        self._trouble = trouble

    @property
    def identity(self) -> Mapping[str, object]:
        """Its name and version."""
        return {"engine": "scripted", "version": 1}

    @property
    def heard(self) -> type[ScriptedVoices]:
        """The digest and the length of a stretch."""
        return ScriptedVoices

    def stretches(self, plan: ChunkPlan) -> Sequence[Chunk]:
        """The chunks themselves."""
        return plan.chunks

    async def hear(self, audio: Audio) -> ScriptedVoices:
        """See ``Diarizer``."""
        if audio.dtype != np.float32 or audio.ndim != 1 or not audio.size:
            raise AssertionError(f"float32 of one dimension is asked for, not {audio.dtype}")
        digest = digest_bytes(np.rint(audio * 32768).astype("<i2").tobytes())
        self.listened.append(digest)
        if digest in self._errors:
            raise self._errors[digest]
        return ScriptedVoices(digest=digest, seconds=audio.size / SAMPLE_RATE)

    def turns(
        self, heard: Sequence[tuple[Chunk, ScriptedVoices]], speakers: int | None
    ) -> tuple[Turn, ...]:
        """See ``Diarizer``."""
        if self._trouble is not None:
            raise self._trouble
        starts = [chunk.start_sample for chunk, _ in heard]
        if starts != sorted(starts):
            raise AssertionError("the stretches are not in order")
        for chunk, voices in heard:
            if voices.digest != chunk.digest:
                raise AssertionError(f"{chunk.id} comes with what was heard in another stretch")
        return tuple(
            Turn(
                speaker=f"S{number % (speakers or 2) + 1}",
                start=round(chunk.start, 3),
                end=round(chunk.start + voices.seconds, 3),
            )
            for number, (chunk, voices) in enumerate(heard)
        )
