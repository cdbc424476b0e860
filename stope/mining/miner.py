"""One segment through the model: one structured call, split when the answer is cut off."""

from __future__ import annotations

from stope.errors import AnswerTruncatedError
from stope.llm.chat import ChatRequest, Message
from stope.llm.ledger import Ledger
from stope.llm.schema import answer_schema
from stope.llm.tokens import estimate_tokens
from stope.mining.answer import MiningAnswer, SegmentClaims
from stope.prompts import load_prompt

PROMPT = "mine"
_MIN_LINES = 1
_TOKENS_PER_CLAIM_SPARE = 400
_ANSWER_FACTOR = 3
"""An answer repeats most of the segment, some of it twice, with field names around it."""


async def mine_segment(text: str, ledger: Ledger) -> SegmentClaims:
    """The raw claims of a segment's text.

    When the answer is cut off, the text is halved at a line and each half is asked for by
    itself; a cut answer is never mended or used.

    Raises:
        AnswerTruncatedError: a single line still overflows the answer.
        AnswerInvalidError: the model does not answer in the schema.
    """
    halves = _halves(text)
    try:
        if halves is not None and estimate_tokens(text) > ledger.model.context // 2:
            # There would be no room for the answer; the same as one that is cut off.
            raise AnswerTruncatedError("the segment leaves the model no room to answer")
        answer = await ledger.ask(mining_request(text, ledger), MiningAnswer)
    except AnswerTruncatedError:
        if halves is None:
            raise
        first, second = [await mine_segment(half, ledger) for half in halves]
        return SegmentClaims(claims=(*first.claims, *second.claims))
    return SegmentClaims(claims=answer.claims)


def mining_request(text: str, ledger: Ledger) -> ChatRequest:
    """The one call for a text, which stands in it as data, inside its own message."""
    system = load_prompt("stope.mining", PROMPT)
    user = f"<transcript>\n{text}\n</transcript>"
    room = ledger.model.context - estimate_tokens(system) - estimate_tokens(user)
    wanted = _ANSWER_FACTOR * estimate_tokens(text) + _TOKENS_PER_CLAIM_SPARE
    return ChatRequest(
        model=ledger.model.identity,
        messages=(Message(role="system", content=system), Message(role="user", content=user)),
        schema_name="mined_claims",
        answer_schema=answer_schema(MiningAnswer, complete=ledger.model.complete_answers),
        max_tokens=max(64, min(room, wanted)),
    )


def _halves(text: str) -> tuple[str, str] | None:
    lines = text.split("\n")
    if len(lines) > _MIN_LINES:
        middle = len(lines) // 2
        return "\n".join(lines[:middle]), "\n".join(lines[middle:])
    return None
