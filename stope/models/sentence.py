"""Sentences of a transcript, and what each of them does."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from stope.models.claim import ClaimType
from stope.models.frozen import Frozen


class SentenceKind(StrEnum):
    """A type of claim, or why a sentence claims nothing."""

    FACTUAL = "factual"
    CAUSAL = "causal"
    NORMATIVE = "normative"
    FORECAST = "forecast"
    DEFINITION = "definition"
    QUESTION = "question"
    GREETING = "greeting"
    REQUEST = "request"
    SPONSOR = "sponsor"
    ANECDOTE = "anecdote"
    HEDGE = "hedge"
    FILLER = "filler"
    META = "meta"

    @property
    def claim_type(self) -> ClaimType | None:
        """The type of claim, or None where nothing is claimed."""
        return ClaimType(self.value) if self.value in set(ClaimType) else None


class Sentence(Frozen):
    """Words ``[first_word, end_word)`` of a transcript: one sentence by one speaker."""

    first_word: int = Field(ge=0)
    end_word: int = Field(gt=0)
    text: str = Field(min_length=1)
    speaker: str | None = None
