"""speakrs: pyannote's segmentation and embeddings with VBx clustering, in Rust. An extra.

It hears the whole recording at once, as float32 (230 MB for an hour), and finds the number of
speakers by itself. Its models come from the hub, or out of a folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError, DiarizationError, ModelFileError
from stope.identity import digest_of
from stope.models.audio import Chunk, ChunkPlan
from stope.models.diarization import Turn
from stope.models.frozen import Frozen

METHOD = 1
"""Part of every unit's key: raise it when the same answer of speakrs would give other turns."""


class Segment(Protocol):
    """What we use of ``speakrs.Segment``: seconds, and a label such as ``SPEAKER_00``."""

    @property
    def start(self) -> float:
        """Seconds."""

    @property
    def end(self) -> float:
        """Seconds."""

    @property
    def speaker(self) -> str:
        """Whose turn it is."""


class Diarized(Protocol):
    """What we use of ``speakrs.DiarizationResult``."""

    @property
    def segments(self) -> Iterable[Segment]:
        """Turns in time order; overlapping speech gives overlapping ones."""


class Pipeline(Protocol):
    """What we use of ``speakrs.Pipeline``."""

    def diarize_samples(self, samples: Audio, *, file_id: str) -> Diarized:
        """Who speaks when in 16 kHz mono float32."""


class HeardTurns(Frozen):
    """The turns of one recording, in seconds from its start."""

    turns: tuple[Turn, ...]


class SpeakrsDiarizer:
    """Hears a recording in one piece.

    Args:
        pipeline: a loaded ``speakrs.Pipeline``; see ``load_pipeline``.
        identity: what names the program and its models, for the units' keys.
    """

    parallel = 1

    def __init__(self, pipeline: Pipeline, identity: str) -> None:
        self._pipeline = pipeline
        self._identity = identity
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diarize")

    @property
    def identity(self) -> Mapping[str, object]:
        """The program and its models."""
        return {"engine": "speakrs", "method": METHOD, "model": self._identity}

    @property
    def heard(self) -> type[HeardTurns]:
        """Turns."""
        return HeardTurns

    def stretches(self, plan: ChunkPlan) -> Sequence[Chunk]:
        """The whole recording, unless nobody speaks in it."""
        if not plan.chunks:
            return ()
        content = [[chunk.start_sample, chunk.end_sample, chunk.digest] for chunk in plan.chunks]
        return (
            Chunk(
                id="recording",
                start_sample=0,
                end_sample=plan.samples,
                digest=digest_of([plan.samples, content]),
            ),
        )

    async def hear(self, audio: Audio) -> HeardTurns:
        """See ``Diarizer``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._hear, audio)

    def turns(
        self, heard: Sequence[tuple[Chunk, HeardTurns]], speakers: int | None
    ) -> tuple[Turn, ...]:
        """See ``Diarizer``."""
        turns = tuple(turn for _, voices in heard for turn in voices.turns)
        found = len({turn.speaker for turn in turns})
        if speakers is not None and found > speakers:
            raise DiarizationError(
                f"speakrs tells {found} speakers apart and cannot be told that there are "
                f"{speakers}; leave --speakers out, or set STOPE_DIARIZER=embedded"
            )
        return turns

    def _hear(self, audio: Audio) -> HeardTurns:
        try:
            found = self._pipeline.diarize_samples(audio, file_id="recording")
        except Exception as error:  # its own SpeakrsError, which cannot be named without the extra
            raise ChunkUndecodableError(f"speakrs could not diarize it: {error}") from error
        return HeardTurns(turns=_turns(found.segments))


def load_pipeline(models: Path) -> tuple[Pipeline, str]:
    """The pipeline and its identity, with models out of a folder if it exists, else from the hub.

    Raises:
        ModelFileError: speakrs is not installed, or its models cannot be had.
    """
    try:
        import speakrs
    except ImportError as error:
        raise ModelFileError(
            "STOPE_DIARIZER is speakrs, which is not installed; install stope with its extra "
            "`speakrs`, or set STOPE_DIARIZER=embedded."
        ) from error
    try:
        prepared = speakrs.prepare("cpu", model_dir=models if models.is_dir() else None)
        pipeline: Pipeline = speakrs.Pipeline.from_prepared(prepared)
    except speakrs.SpeakrsError as error:
        raise ModelFileError(
            f"The models of speakrs cannot be had ({error}); check the network, put them into "
            f"{models}, or set STOPE_DIARIZER=embedded."
        ) from error
    return pipeline, f"{speakrs.__version__}@{prepared.revision or 'folder'}"


def _turns(segments: Iterable[Segment]) -> tuple[Turn, ...]:
    """Turns by start, with speakers numbered in the order in which they first speak."""
    names: dict[str, str] = {}
    found: list[Turn] = []
    for segment in sorted(segments, key=lambda item: (item.start, item.end)):
        start, end = round(max(segment.start, 0.0), 3), round(segment.end, 3)
        if end > start:
            name = names.setdefault(segment.speaker, f"S{len(names) + 1}")
            found.append(Turn(speaker=name, start=start, end=end))
    return tuple(found)
