"""Verdicts: what the flagship model decided on each claim."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from stope.models.frozen import Frozen


class Decision(StrEnum):
    """What becomes of a claim.

    A merged claim says the same as another one, which keeps the evidence of both. A split claim
    said several things; its parts are claims of their own. Neither stands in the result by itself.
    """

    ACCEPT = "accept"
    REJECT = "reject"
    MERGE = "merge"
    SPLIT = "split"


class Tier(StrEnum):
    """Importance in three steps: A from 8, B from 5, C below."""

    A = "A"
    B = "B"
    C = "C"

    @classmethod
    def of(cls, importance: int) -> Tier:
        """The tier of an importance between 0 and 10."""
        if importance >= 8:
            return cls.A
        return cls.B if importance >= 5 else cls.C


class Verdict(Frozen):
    """The decision on one claim. Scores run from 0 to 10.

    ``merged_into`` is there for a merged claim, ``split_into`` for a split one: claim ids of the
    same result.
    """

    claim_id: str
    decision: Decision
    canonical_text: str
    importance: int = Field(ge=0, le=10)
    novelty: int = Field(ge=0, le=10)
    confidence: int = Field(ge=0, le=10)
    reasoning: str
    merged_into: str | None = None
    split_into: tuple[str, ...] = ()

    @property
    def tier(self) -> Tier:
        """The tier that follows from the importance."""
        return Tier.of(self.importance)
