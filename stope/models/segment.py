"""Segments: the stretches of transcript that are mined as one unit."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen


class Segment(Frozen):
    """Words ``[first_word, end_word)`` of a transcript, and the text the model is shown.

    ``text`` has a line per utterance, led by the speaker's name where there is one.
    """

    id: str = Field(pattern=r"^seg_\d{4,}$")
    first_word: int = Field(ge=0)
    end_word: int = Field(gt=0)
    text: str
    start: float | None = Field(default=None, description="seconds")
    end: float | None = Field(default=None, description="seconds")
