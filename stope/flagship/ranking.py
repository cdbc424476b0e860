"""The total order of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stope.models.claim import Claim
from stope.models.knowledge import JudgedClaim
from stope.models.verdict import Decision, Verdict

_CLOSING = " \"'”’»)]」』"  # noqa: RUF001  (as people write)

RANKING_VERSION = 2
"""Part of every flagship job's id: raise it when ranks or the verdicts made here would differ."""

_ORDER = {Decision.ACCEPT: 0, Decision.MERGE: 1, Decision.SPLIT: 1, Decision.REJECT: 2}


def rank_claims(
    claims: Sequence[Claim], verdicts: Mapping[str, Verdict]
) -> tuple[JudgedClaim, ...]:
    """Judged claims by rank, no two of them alike.

    Accepted first, then merged and split, then rejected ones; among them by importance,
    confidence, novelty, and last by place.

    A claim without a verdict (a gap) is left out, and with it what is merged or split into it.
    """
    standing = {name for name in verdicts if _stands(name, verdicts)}
    judged = [
        (place, claim, verdicts[claim.id])
        for place, claim in enumerate(claims)
        if claim.id in standing
    ]
    judged.sort(
        key=lambda item: (
            _ORDER[item[2].decision],
            -item[2].importance,
            -item[2].confidence,
            -item[2].novelty,
            item[0],
        )
    )
    return tuple(
        JudgedClaim(rank=rank, tier=verdict.tier, claim=claim, verdict=verdict)
        for rank, (_, claim, verdict) in enumerate(judged, start=1)
    )


def verdict_without_model(claim: Claim) -> Verdict | None:
    """The verdict on a claim that needs no opinion: rejected, or None where the model decides.

    A claim whose quote stands nowhere in the transcript is never accepted; a question claims
    nothing.
    """
    if not claim.grounded:
        return _rejected(claim, "Its quote was not found in the transcript.")
    if all(_asks(item.quote) for item in claim.evidence):
        return _rejected(claim, "Its quote is a question.")
    return None


def _stands(name: str, verdicts: Mapping[str, Verdict]) -> bool:
    """Whether a claim, or what stands for it, has a verdict."""
    verdict = verdicts.get(name)
    if verdict is None:
        return False
    into = (verdict.merged_into,) if verdict.merged_into else verdict.split_into
    return all(_stands(other, verdicts) for other in into)


def _asks(quote: str) -> bool:
    return quote.rstrip(_CLOSING).endswith(("?", "？"))  # noqa: RUF001  (the Chinese mark)


def _rejected(claim: Claim, reason: str) -> Verdict:
    return Verdict(
        claim_id=claim.id,
        decision=Decision.REJECT,
        canonical_text=claim.text,
        importance=0,
        novelty=0,
        confidence=0,
        reasoning=reason,
    )
