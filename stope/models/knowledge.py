"""Knowledge: what a finished run knows, as one document."""

from __future__ import annotations

from pydantic import Field

from stope.models.claim import Claim
from stope.models.entity import Concept, Entity, Term
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.verdict import Tier, Verdict

CLAIMS_SCHEMA = "stope.claims/2"
KNOWLEDGE_SCHEMA = "stope.knowledge/2"


class MinedClaims(Frozen):
    """The result of mining: claims, names, jargon and concepts, each in transcript order.

    ``skipped`` counts the sentences that claim nothing, by their kind (question, anecdote, …).
    """

    schema_version: str = CLAIMS_SCHEMA
    transcript_digest: str
    model: str
    segments: int = Field(ge=0)
    claims: tuple[Claim, ...]
    entities: tuple[Entity, ...] = ()
    terms: tuple[Term, ...] = ()
    concepts: tuple[Concept, ...] = ()
    skipped: dict[str, int] = Field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


class JudgedClaim(Frozen):
    """A claim with its verdict; rank 1 is the best, and every claim has a rank of its own."""

    rank: int = Field(ge=1)
    tier: Tier
    claim: Claim
    verdict: Verdict


class Summary(Frozen):
    """What was said, in a sentence or two and in a paragraph or more.

    ``extractive`` marks one that is put together from the best claims' own wording, where no model
    wrote one that holds.
    """

    short: str
    long: str
    extractive: bool = False


class Theme(Frozen):
    """What several claims are about; ``claim_ids`` are accepted claims, best first."""

    name: str
    claim_ids: tuple[str, ...]


class Knowledge(Frozen):
    """Every claim with its verdict, by rank: accepted, then merged and split, then rejected.

    An accepted claim carries the evidence of all claims merged into it.
    """

    schema_version: str = KNOWLEDGE_SCHEMA
    transcript_digest: str
    miner_model: str
    flagship_model: str
    claims: tuple[JudgedClaim, ...]
    summary: Summary | None = None
    themes: tuple[Theme, ...] = ()
    entities: tuple[Entity, ...] = ()
    terms: tuple[Term, ...] = ()
    concepts: tuple[Concept, ...] = ()
    gaps: tuple[Gap, ...] = ()
