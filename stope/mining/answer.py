"""What the mining model is asked to answer. Raw model output is not a domain type."""

from __future__ import annotations

from pydantic import Field

from stope.models.claim import ClaimType, Stance
from stope.models.frozen import Frozen


class RawClaim(Frozen):
    """One claim as the model put it. Its quote is not yet found in the transcript."""

    quote: str = Field(min_length=1)
    type: ClaimType
    stance: Stance | None = Field(default=None, description="left out when plainly asserted")
    claim: str | None = Field(default=None, description="left out when the quote stands alone")


class MiningAnswer(Frozen):
    """The model's whole answer for one segment."""

    claims: tuple[RawClaim, ...]


class SegmentClaims(Frozen):
    """The committed output of one segment: the answers of all its parts, in order."""

    claims: tuple[RawClaim, ...]
