"""Segments: the stretches of transcript that are mined as one unit."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.sentence import Sentence


class Segment(Frozen):
    """Consecutive sentences of a transcript; ``start`` and ``end`` are seconds."""

    id: str = Field(pattern=r"^seg_\d{4,}$")
    sentences: tuple[Sentence, ...] = Field(min_length=1)
    start: float | None = None
    end: float | None = None

    @property
    def first_word(self) -> int:
        """The first word of its first sentence."""
        return self.sentences[0].first_word

    @property
    def end_word(self) -> int:
        """One past the last word of its last sentence."""
        return self.sentences[-1].end_word
