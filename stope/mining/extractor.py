"""Extraction: the people, organisations, jargon and concepts of a segment, by the model."""

from __future__ import annotations

from collections.abc import Sequence

from stope.errors import AnswerTruncatedError
from stope.llm.ledger import Ledger
from stope.llm.tokens import estimate_tokens
from stope.mining.answer import ExtractionAnswer
from stope.mining.request import mining_request
from stope.mining.segments import line_of
from stope.models.sentence import Sentence
from stope.prompts import fenced

PROMPT = "extract"
_LEAST_TOKENS = 300


async def extract(sentences: Sequence[Sentence], ledger: Ledger) -> tuple[ExtractionAnswer, ...]:
    """What some sentences name: one answer, or several where one would have been cut off.

    Raises:
        AnswerTruncatedError: a single sentence overflows the context or the answer.
        AnswerInvalidError: the model does not answer in the schema.
    """
    lines = [line_of(sentence) for sentence in sentences]
    tokens = sum(map(estimate_tokens, lines))
    try:
        request = mining_request(
            ledger,
            PROMPT,
            fenced("text", lines),
            "named_things",
            ExtractionAnswer,
            _LEAST_TOKENS + tokens,
        )
        answer = await ledger.ask(request, ExtractionAnswer)
    except AnswerTruncatedError:
        if len(sentences) == 1:
            raise
        middle = len(sentences) // 2
        first = await extract(sentences[:middle], ledger)
        return first + await extract(sentences[middle:], ledger)
    return (answer,)
