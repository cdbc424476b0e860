"""Merging: claims that say the same become one, which keeps all their evidence.

Near sentence embeddings make a pair a candidate; wordings that cannot mean the same (``differ``)
are no candidates, whatever anybody says; about the rest the model decides. The same words need no
model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from stope.flagship.asking import keyed_answer, request_of
from stope.flagship.contrast import CONTRAST_VERSION, content_of, differ
from stope.flagship.numerals import numbers_of
from stope.llm.ledger import Ledger
from stope.models.claim import Claim, ClaimType, Evidence
from stope.models.frozen import Frozen
from stope.models.verdict import Decision, Verdict
from stope.wording import normalise

if TYPE_CHECKING:
    from stope.embedding.embedder import Vectors

PROMPT = "merge"
MERGE_VERSION = f"1.{CONTRAST_VERSION}"
"""Part of every plan's key: raise it when a change here would find other candidates."""

NEAR = 0.63
"""Cosine similarity from which two claims may say the same."""

NEAR_IN_NUMBERS = 0.45
"""The same for claims that give the same numbers: paraphrases in other words are that far apart."""

NEIGHBOURS = 3
"""Candidates per claim, the nearest."""

GROUP = 6
"""Pairs per call."""

_TOKENS_PER_PAIR = 12
_SPARE_TOKENS = 40


class Likeness(StrEnum):
    """What a pair of claims is."""

    SAME = "same"
    OTHER = "other"


class Pair(Frozen):
    """Two claims that may say the same, the earlier one first."""

    first: str
    second: str


class PairGroup(Frozen):
    """Pairs that are decided in one call."""

    id: str
    pairs: tuple[Pair, ...]


class MergePlan(Frozen):
    """The stored candidates."""

    groups: tuple[PairGroup, ...]


class PairVerdicts(Frozen):
    """The committed output of a group, in the order of its pairs."""

    verdicts: tuple[Likeness, ...]


class Merging(Frozen):
    """What became of the claims: those that are left, in their order, and who went into whom."""

    kept: tuple[Claim, ...]
    merged: dict[str, str]


def merge_equal(claims: Sequence[Claim]) -> Merging:
    """Claims in the same words become one."""
    groups: dict[tuple[str, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        groups[tuple(normalise(claim.text))].append(claim)
    return _merging(claims, groups.values())


def plan_pairs(claims: Sequence[Claim], vectors: Vectors) -> MergePlan:
    """The candidates among claims, in order.

    Args:
        claims: in the order of the recording.
        vectors: their embeddings.
    """
    # numpy is loaded where it is needed: clients know this module for its version.
    from stope.flagship.geometry import neighbours

    numbers = [numbers_of(claim.text) for claim in claims]
    pairs = [
        Pair(first=claims[one].id, second=claims[other].id)
        for one, other, likeness in neighbours(vectors, NEIGHBOURS, NEAR_IN_NUMBERS)
        if (likeness >= NEAR or (numbers[one] and numbers[one] == numbers[other]))
        and not _differ(claims[one], claims[other])
    ]
    return MergePlan(
        groups=tuple(
            PairGroup(id=f"pairs_{number:04d}", pairs=tuple(pairs[start : start + GROUP]))
            for number, start in enumerate(range(0, len(pairs), GROUP), start=1)
        )
    )


def pair_texts(group: PairGroup, claims: Mapping[str, Claim]) -> list[tuple[str, str]]:
    """What the pairs of a group say."""
    return [(claims[pair.first].text, claims[pair.second].text) for pair in group.pairs]


async def decide_pairs(texts: Sequence[tuple[str, str]], ledger: Ledger) -> PairVerdicts:
    """Ask which pairs say the same.

    Raises:
        AnswerInvalidError: the model does not answer in the schema.
        AnswerTruncatedError: its answer was cut off.
    """
    schema = keyed_answer("Pairs", "p", len(texts), Likeness)
    lines = [f"p{number}: {one} = {other}" for number, (one, other) in enumerate(texts, start=1)]
    limit = _TOKENS_PER_PAIR * len(texts) + _SPARE_TOKENS
    answer = await ledger.ask(request_of(PROMPT, lines, schema, ledger, max_tokens=limit), schema)
    return PairVerdicts(
        verdicts=tuple(getattr(answer, f"p{number}") for number in range(1, len(texts) + 1))
    )


def merge_pairs(claims: Sequence[Claim], same: Iterable[Pair]) -> Merging:
    """Claims of pairs that say the same become one.

    What is alike by way of a third claim goes together only if no two of the group differ.
    """
    by_id = {claim.id: claim for claim in claims}
    group_of = {claim.id: [claim] for claim in claims}
    for pair in same:
        one, other = group_of[pair.first], group_of[pair.second]
        if one is other or any(_differ(left, right) for left in one for right in other):
            continue
        one.extend(other)
        for claim in other:
            group_of[claim.id] = one
    groups = {id(group): group for group in group_of.values()}
    order = {claim.id: place for place, claim in enumerate(by_id.values())}
    return _merging(
        claims,
        [sorted(group, key=lambda claim: order[claim.id]) for group in groups.values()],
    )


def merged_verdict(claim: Claim, into: str) -> Verdict:
    """The verdict on a claim that another one stands for."""
    return Verdict(
        claim_id=claim.id,
        decision=Decision.MERGE,
        canonical_text=claim.text,
        importance=0,
        novelty=0,
        confidence=0,
        reasoning="Says the same as another claim, which has its evidence.",
        merged_into=into,
    )


def _differ(one: Claim, other: Claim) -> bool:
    """Whether two claims cannot be one: what a word means is no claim about the thing."""
    defines = (one.type is ClaimType.DEFINITION) != (other.type is ClaimType.DEFINITION)
    return defines or differ(one.text, other.text)


def _merging(claims: Sequence[Claim], groups: Iterable[Sequence[Claim]]) -> Merging:
    keeper_of: dict[str, Claim] = {}
    for group in groups:
        # The fullest wording; of equals the earliest.
        fullest = max(group, key=lambda claim: len(content_of(claim.text)))
        keeper = fullest.model_copy(update={"evidence": _joined(fullest, group)})
        keeper_of |= {claim.id: keeper for claim in group}
    return Merging(
        kept=tuple(keeper_of[claim.id] for claim in claims if keeper_of[claim.id].id == claim.id),
        merged={
            claim.id: keeper_of[claim.id].id
            for claim in claims
            if keeper_of[claim.id].id != claim.id
        },
    )


def _joined(keeper: Claim, group: Sequence[Claim]) -> tuple[Evidence, ...]:
    """The evidence of all, each piece once: the keeper's own first, then in order."""
    others = (claim for claim in group if claim.id != keeper.id)
    return tuple(dict.fromkeys(item for claim in (keeper, *others) for item in claim.evidence))
