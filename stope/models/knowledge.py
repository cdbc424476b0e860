"""Knowledge: what a finished run knows, as one document."""

from __future__ import annotations

from pydantic import Field

from stope.models.claim import Claim
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.verdict import Tier, Verdict

CLAIMS_SCHEMA = "stope.claims/1"
KNOWLEDGE_SCHEMA = "stope.knowledge/1"


class MinedClaims(Frozen):
    """The result of mining: every claim in transcript order."""

    schema_version: str = CLAIMS_SCHEMA
    transcript_digest: str
    model: str
    segments: int = Field(ge=0)
    claims: tuple[Claim, ...]
    gaps: tuple[Gap, ...] = ()


class JudgedClaim(Frozen):
    """A claim with its verdict; rank 1 is the best, and every claim has a rank of its own."""

    rank: int = Field(ge=1)
    tier: Tier
    claim: Claim
    verdict: Verdict


class Knowledge(Frozen):
    """Every claim with its verdict, by rank: accepted ones first."""

    schema_version: str = KNOWLEDGE_SCHEMA
    transcript_digest: str
    miner_model: str
    flagship_model: str
    claims: tuple[JudgedClaim, ...]
    gaps: tuple[Gap, ...] = ()
