"""The diarization port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel

from stope.audio.decode import Audio
from stope.models.audio import Chunk, ChunkPlan
from stope.models.diarization import Turn

HeardT = TypeVar("HeardT", bound=BaseModel)


class Diarizer(Protocol[HeardT]):
    """Tells who spoke when, in two steps: it hears stretches one by one, then makes the turns.

    What it hears in a stretch is committed as a unit and never heard again.
    """

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything about the engine that decides what it hears; part of every unit's key."""

    @property
    def parallel(self) -> int:
        """How many stretches it can hear at once."""

    @property
    def heard(self) -> type[HeardT]:
        """The type of a unit's output."""

    def stretches(self, plan: ChunkPlan) -> Sequence[Chunk]:
        """What it wants to hear of a recording, in order: the units. None where nobody speaks."""

    async def hear(self, audio: Audio) -> HeardT:
        """Listen to one stretch.

        Args:
            audio: 16 kHz mono float32 in [-1, 1], shape ``(samples,)``.

        Raises:
            ChunkUndecodableError: the engine cannot make anything of this stretch.
        """

    def turns(
        self, heard: Sequence[tuple[Chunk, HeardT]], speakers: int | None
    ) -> tuple[Turn, ...]:
        """All turns by start. Equal input gives equal turns.

        Args:
            heard: stretches in order, with what was heard in each; a gap is left out.
            speakers: how many speak, if somebody knows.

        Returns:
            Turns inside the stretches, in seconds from the recording's start. Speakers are named
            ``S1``, ``S2``, … in the order in which they first speak; no more than ``speakers``.

        Raises:
            DiarizationError: the engine cannot do what is asked for.
        """
