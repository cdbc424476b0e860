"""Rewriting: claims that point outside themselves, resolved by the model if it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, create_model

from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.llm.chat import ChatRequest
from stope.llm.ledger import Ledger
from stope.llm.tokens import estimate_tokens
from stope.mining.fidelity import faithful
from stope.mining.request import mining_request
from stope.mining.segments import line_of
from stope.models.sentence import Sentence
from stope.prompts import fenced

PROMPT = "rewrite"
GROUP = 8
"""Rewritings per call."""

SMALL_CONTEXT = 4096
"""A model with no more room is a small one: it mixes sentences up, and is asked for one a call."""

CONTEXT = 6
"""Sentences before one that may lend it words."""

_SPARE_TOKENS = 60


def group_size(context: int) -> int:
    """Rewritings per call for a model with so many tokens of context."""
    return 1 if context <= SMALL_CONTEXT else GROUP


async def rewrite(
    sentences: Sequence[Sentence], wanted: Sequence[int], ledger: Ledger
) -> dict[int, str]:
    """Standing-alone wordings for some sentences, by their places; only those to be believed.

    Args:
        sentences: a segment's.
        wanted: places in it, in order.
        ledger: asks the model.

    Raises:
        StopeError: the provider cannot be used now or at all. An answer that does not fit is no
            error: the claims keep their own words.
    """
    found: dict[int, str] = {}
    size = group_size(ledger.model.context)
    for first in range(0, len(wanted), size):
        found |= await _group(sentences, wanted[first : first + size], ledger)
    return {
        place: text
        for place, text in found.items()
        if faithful(
            text,
            sentences[place].text,
            # Without speakers: their labels are not said, and may be renamed.
            [item.text for item in sentences[max(0, place - CONTEXT) : place]],
        )
    }


async def _group(
    sentences: Sequence[Sentence], wanted: Sequence[int], ledger: Ledger
) -> Mapping[int, str]:
    """One call; in two halves when the answer is cut off or does not fit."""
    schema = _answer_type(wanted)
    try:
        answer = await ledger.ask(_request(sentences, wanted, schema, ledger), schema)
    except (AnswerTruncatedError, AnswerInvalidError):
        if len(wanted) == 1:
            return {}
        middle = len(wanted) // 2
        halves = [
            await _group(sentences, half, ledger) for half in (wanted[:middle], wanted[middle:])
        ]
        return {**halves[0], **halves[1]}
    return {place: " ".join(getattr(answer, f"s{place + 1}").split()) for place in wanted}


def _request(
    sentences: Sequence[Sentence],
    wanted: Sequence[int],
    schema: type[BaseModel],
    ledger: Ledger,
) -> ChatRequest:
    shown = {near for place in wanted for near in range(max(0, place - CONTEXT), place + 1)}
    lines = [
        f"s{place + 1}{'*' if place in wanted else ''}: {line_of(sentences[place])}"
        for place in sorted(shown)
    ]
    tokens = sum(estimate_tokens(sentences[place].text) for place in wanted)
    return mining_request(
        ledger,
        PROMPT,
        fenced("sentences", lines),
        "rewritings",
        schema,
        3 * tokens + _SPARE_TOKENS,
    )


def _answer_type(wanted: Sequence[int]) -> type[BaseModel]:
    fields: dict[str, object] = {f"s{place + 1}": (str, Field(min_length=1)) for place in wanted}
    return create_model(  # type: ignore[call-overload,no-any-return]  # fields known only at run time
        "Rewritings", __config__=ConfigDict(frozen=True, extra="forbid"), **fields
    )
