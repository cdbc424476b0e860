"""One batch through the model: three levels for every claim, each with its own place in the answer.

The levels belong to a rubric with scored examples that is the same in every request, so that a
claim's score does not hang on the claims beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.flagship.asking import keyed_answer, request_of
from stope.flagship.batches import ANSWER_TOKENS
from stope.llm.ledger import Ledger
from stope.models.frozen import Frozen

PROMPT = "judge"
_SPARE_TOKENS = 40

Digits = Annotated[str, Field(pattern="^[0-2]{3}$")]


class Levels(Frozen):
    """A claim on the rubric: 0, 1 or 2 in each of its questions."""

    reach: int = Field(ge=0, le=2)
    use: int = Field(ge=0, le=2)
    news: int = Field(ge=0, le=2)

    @classmethod
    def of(cls, digits: str) -> Levels:
        """The levels that three digits stand for."""
        reach, use, news = map(int, digits)
        return cls(reach=reach, use=use, news=news)


class BatchLevels(Frozen):
    """The committed output of one batch: levels in the order of its claims.

    Claims that read alike share it whatever their ids, which the stage puts back by place.
    """

    levels: tuple[Levels, ...]


async def judge_batch(texts: Sequence[str], ledger: Ledger, name: str = PROMPT) -> BatchLevels:
    """Levels of all claims of a batch, in order.

    An answer that is cut off or does not fit is asked for again in two halves.

    Args:
        texts: what the claims say.
        ledger: who is asked.
        name: the schema's, for servers and logs.

    Raises:
        AnswerInvalidError: the model does not answer in the schema, even for one claim.
        AnswerTruncatedError: the levels of one claim overflow the answer.
    """
    schema = keyed_answer("Scores", "c", len(texts), Digits)
    lines = [f"c{number}: {text}" for number, text in enumerate(texts, start=1)]
    limit = ANSWER_TOKENS * len(texts) + _SPARE_TOKENS
    request = request_of(PROMPT, lines, schema, ledger, max_tokens=limit, name=name)
    try:
        answer = await ledger.ask(request, schema)
    except (AnswerTruncatedError, AnswerInvalidError):
        if len(texts) == 1:
            raise
        middle = len(texts) // 2
        halves = [
            await judge_batch(part, ledger, name) for part in (texts[:middle], texts[middle:])
        ]
        return BatchLevels(levels=halves[0].levels + halves[1].levels)
    return BatchLevels(
        levels=tuple(
            Levels.of(getattr(answer, f"c{number}")) for number in range(1, len(texts) + 1)
        )
    )
