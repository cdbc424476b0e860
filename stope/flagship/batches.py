"""The batch plan: claims cut into batches that fit the model's context and its attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from stope.llm.tokens import estimate_tokens
from stope.models.claim import Claim
from stope.models.frozen import Frozen

PLAN_VERSION = 2
"""Part of every plan's key: raise it when a change here would cut differently."""

MAX_CLAIMS = 8
"""Beyond a handful, scores drift and small models lose count."""

ANSWER_TOKENS = 12
"""Room for one claim's levels."""


class Batch(Frozen):
    """Claims that are judged in one call."""

    id: str
    claim_ids: tuple[str, ...] = Field(min_length=1)


class BatchPlan(Frozen):
    """The stored, immutable cut of claims into batches."""

    batches: tuple[Batch, ...]


def plan_batches(claims: Sequence[Claim], context: int) -> BatchPlan:
    """Batches of nearly equal size, each within half a context with its answer.

    Args:
        claims: what is to be judged, in order.
        context: tokens the model can take, prompt and answer together.
    """
    sizes = _even_sizes(len(claims))
    groups: list[list[str]] = []
    spent = most = 0
    for claim in claims:
        cost = estimate_tokens(claim.text) + ANSWER_TOKENS
        if groups and len(groups[-1]) < most and spent + cost <= context // 2:
            groups[-1].append(claim.id)
            spent += cost
        else:
            groups.append([claim.id])
            spent, most = cost, next(sizes, MAX_CLAIMS)
    return BatchPlan(
        batches=tuple(
            Batch(id=f"batch_{number:04d}", claim_ids=tuple(ids))
            for number, ids in enumerate(groups, start=1)
        )
    )


def _even_sizes(count: int) -> Iterator[int]:
    """How many claims go into each batch, when the context does not make them smaller."""
    batches = -(-count // MAX_CLAIMS)
    for number in range(batches):
        yield count // batches + (number < count % batches)
