"""Scores: from the model's levels where it can judge, else from what can be measured.

Everything that is measured belongs to the whole recording, never to a batch: how near a claim is to
all others (degree centrality on sentence embeddings, after LexRank, https://arxiv.org/abs/1109.2128),
what it gives in figures and names, how often it was said, how its speaker held it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from stope.flagship.contrast import content_of, names_of
from stope.flagship.judge import Levels
from stope.flagship.numerals import numbers_of
from stope.models.claim import Alignment, Claim, ClaimType, Stance
from stope.models.frozen import Frozen
from stope.models.verdict import Decision, Verdict

if TYPE_CHECKING:
    from stope.embedding.embedder import Vectors

SCORES_VERSION = 1
"""Part of every flagship job's id: raise it when a change here would give other scores."""

_WEIGHT = {
    ClaimType.CAUSAL: 2,
    ClaimType.FORECAST: 2,
    ClaimType.NORMATIVE: 2,
    ClaimType.DEFINITION: 1,
    ClaimType.FACTUAL: 1,
}
_CONFIDENCE = {Stance.ASSERTED: 9, Stance.DENIED: 9, Stance.REPORTED: 7, Stance.HEDGED: 4}
_PLACES = (
    "at the edge of what is said",
    "beside the main points",
    "near the main points",
    "central",
)
_REACH = ("one person or thing", "a place or group", "very many")
_USE = ("a detail", "good to know", "changes what one thinks or does")
_NEWS = ("known to all", "known to some", "known to few")
_MOST = 10
_EMPTY_CONTENT = 4
"""A claim with fewer words of meaning, no figure and no name may be empty."""


class Measures(Frozen):
    """What is measured of one claim. ``centrality`` is its quarter among the claims: 3 the highest.

    ``told`` says whether the model's summary tells it; ``sayings`` counts places where it is said.
    """

    centrality: int = Field(ge=0, le=3)
    figures: bool
    names: bool
    sayings: int = Field(ge=0)
    told: bool = False


def measure(claims: Sequence[Claim], vectors: Vectors) -> dict[str, Measures]:
    """The measures of all claims of a recording; ``vectors`` are their embeddings, in order."""
    # numpy is loaded where it is needed: clients know this module for its version.
    from stope.flagship.geometry import quarters

    return {
        claim.id: Measures(
            centrality=quarter,
            figures=bool(numbers_of(claim.text)),
            names=bool(names_of(claim.text)),
            sayings=len(
                {
                    item.first_word if item.first_word is not None else item.quote
                    for item in claim.evidence
                    if item.alignment is not Alignment.UNGROUNDED
                }
            ),
        )
        for claim, quarter in zip(claims, quarters(vectors), strict=True)
    }


def scored_verdict(claim: Claim, measures: Measures, levels: Levels | None) -> Verdict:
    """The verdict on a claim that stands for itself.

    It is rejected only where the model finds nothing in it and so few words leave no doubt.
    """
    empty = levels is not None and (levels.reach, levels.use, levels.news) == (0, 0, 0)
    thin = len(content_of(claim.text)) < _EMPTY_CONTENT
    rejected = empty and thin and not (measures.figures or measures.names)
    importance, novelty, reasons = (
        _measured(claim, measures) if levels is None else _judged(measures, levels)
    )
    return Verdict(
        claim_id=claim.id,
        decision=Decision.REJECT if rejected else Decision.ACCEPT,
        canonical_text=claim.text,
        importance=0 if rejected else importance,
        novelty=0 if rejected else novelty,
        confidence=_confidence(claim, measures),
        reasoning="Tells nothing." if rejected else _sentence(reasons),
    )


def _judged(measures: Measures, levels: Levels) -> tuple[int, int, list[str]]:
    extra = int(measures.figures or measures.names) + int(measures.sayings > 1)
    importance = min(_MOST, 2 * (levels.reach + levels.use) + extra)
    reasons = [f"concerns {_REACH[levels.reach]}", _USE[levels.use], _NEWS[levels.news]]
    return importance, 1 + 4 * levels.news, reasons + _said_often(measures)


def _measured(claim: Claim, measures: Measures) -> tuple[int, int, list[str]]:
    hedged = claim.stance is Stance.HEDGED
    importance = (
        1
        + measures.centrality
        + _WEIGHT[claim.type]
        + measures.figures
        + measures.names
        + 2 * (measures.sayings > 1)
        + 2 * measures.told
        - hedged
    )
    novelty = 3 + 3 * measures.figures + 2 * measures.names
    reasons = [_PLACES[measures.centrality], f"a {claim.type.value} claim"]
    reasons += ["gives figures"] if measures.figures else []
    reasons += ["in the summary"] if measures.told else []
    return min(_MOST, max(0, importance)), novelty, reasons + _said_often(measures)


def _said_often(measures: Measures) -> list[str]:
    return [f"said {measures.sayings} times"] if measures.sayings > 1 else []


def _confidence(claim: Claim, measures: Measures) -> int:
    fuzzy = all(item.alignment is not Alignment.EXACT for item in claim.evidence)
    return min(_MOST, _CONFIDENCE[claim.stance] - 2 * fuzzy + (measures.sayings > 1))


def _sentence(reasons: Sequence[str]) -> str:
    text = ", ".join(reasons)
    return f"{text[0].upper()}{text[1:]}."


def told_in(sentences: Sequence[str], claims: Mapping[str, str]) -> frozenset[str]:
    """The ids of the claims that sentences tell, given the claims' texts by id.

    Each sentence tells the claim whose words of meaning it has most of, if that is half of them.
    """
    contents = {name: content_of(text) for name, text in claims.items()}
    found: set[str] = set()
    for sentence in sentences:
        words = content_of(sentence)
        share = {
            name: len(words & content) / len(content)
            for name, content in contents.items()
            if content
        }
        best = max(share, key=lambda name: share[name], default=None)
        if best is not None and share[best] >= 0.5:
            found.add(best)
    return frozenset(found)
