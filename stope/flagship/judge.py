"""One batch through the model. Every claim has its own place in the answer's schema."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, create_model

from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.flagship.batches import ANSWER_TOKENS, claim_text
from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import Ledger
from stope.llm.schema import answer_schema
from stope.models.claim import Claim
from stope.models.frozen import Frozen
from stope.models.verdict import Decision, Verdict
from stope.prompts import load_prompt
from stope.wording import same_content

PROMPT = "judge"
_SPARE_TOKENS = 100


class RawVerdict(Frozen):
    """One verdict as the model put it.

    Scores come before the decision and the reason: a small model that decides first repeats its
    first decision for every claim.
    """

    importance: int = Field(ge=0, le=10)
    novelty: int = Field(ge=0, le=10)
    confidence: int = Field(ge=0, le=10)
    decision: Decision
    reason: str = Field(min_length=1)
    text: str | None = None


class BatchVerdicts(Frozen):
    """The committed output of one batch: verdicts in the order of its claims.

    Claims that read alike share it whatever their ids, which the stage puts back by place.
    """

    verdicts: tuple[Verdict, ...]


def answer_type(count: int) -> type[BaseModel]:
    """The schema of an answer for so many claims: ``c1`` to ``cN``, all required, nothing else."""
    fields: dict[str, object] = {f"c{number}": (RawVerdict, ...) for number in range(1, count + 1)}
    return create_model(  # type: ignore[call-overload,no-any-return]  # fields known only at run time
        "Verdicts", __config__=ConfigDict(frozen=True, extra="forbid"), **fields
    )


async def judge_batch(claims: Sequence[Claim], ledger: Ledger) -> BatchVerdicts:
    """Verdicts on all claims of a batch, in order.

    An answer that is cut off or does not fit is asked for again in two halves.

    Raises:
        AnswerInvalidError: the model does not answer in the schema, even for one claim.
        AnswerTruncatedError: the verdict on one claim overflows the answer.
    """
    schema = answer_type(len(claims))
    try:
        answer = await ledger.ask(judging_request(claims, schema, ledger), schema)
    except (AnswerTruncatedError, AnswerInvalidError):
        if len(claims) == 1:
            raise
        middle = len(claims) // 2
        halves = [await judge_batch(half, ledger) for half in (claims[:middle], claims[middle:])]
        return BatchVerdicts(verdicts=halves[0].verdicts + halves[1].verdicts)
    return BatchVerdicts(
        verdicts=tuple(
            _verdict(claim, getattr(answer, f"c{number}"))
            for number, claim in enumerate(claims, start=1)
        )
    )


def judging_request(
    claims: Sequence[Claim], schema: type[BaseModel], ledger: Ledger
) -> ChatRequest:
    """The one call for a batch."""
    lines = [f"c{number}: {claim_text(claim)}" for number, claim in enumerate(claims, start=1)]
    return ChatRequest(
        model=ledger.model.identity,
        messages=(
            Message(role="system", content=load_prompt("stope.flagship", PROMPT)),
            Message(role="user", content="<claims>\n" + "\n".join(lines) + "\n</claims>"),
        ),
        schema_name="verdicts",
        answer_schema=answer_schema(schema, complete=ledger.model.complete_answers),
        max_tokens=ANSWER_TOKENS * len(claims) + _SPARE_TOKENS,
    )


def _verdict(claim: Claim, raw: RawVerdict) -> Verdict:
    return Verdict(
        claim_id=claim.id,
        decision=raw.decision,
        canonical_text=(
            raw.text.strip() if raw.text and same_content(raw.text, claim.text) else claim.text
        ),
        importance=raw.importance,
        novelty=raw.novelty,
        confidence=raw.confidence,
        reasoning=raw.reason,
    )
