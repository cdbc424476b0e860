"""Selection by a language model: every sentence has its own place in the answer's schema."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, create_model

from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.identity import digest_of
from stope.llm.chat import ChatRequest
from stope.llm.ledger import Ledger
from stope.mining.request import mining_request
from stope.mining.segments import line_of
from stope.models.sentence import Sentence, SentenceKind
from stope.prompts import fenced, prompt_digest

PROMPT = "select"
GROUP = 24
"""Sentences per call: in longer lists models repeat the last kind, or lose count."""

CONTEXT = 4
"""Sentences before the group that are shown for understanding."""

_TOKENS_PER_SENTENCE = 12
_SPARE_TOKENS = 60


class AskedSelector:
    """Asks the model of a ledger. Knows the languages that the model knows."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.identity = digest_of(
            ["asked", ledger.model.identity, prompt_digest("stope.mining", PROMPT), GROUP, CONTEXT]
        )[:16]

    async def select(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        """See ``Selector``."""
        kinds: list[SentenceKind] = []
        for first in range(0, len(sentences), GROUP):
            before = sentences[max(0, first - CONTEXT) : first]
            kinds += await self._group(sentences[first : first + GROUP], before)
        return tuple(kinds)

    async def _group(
        self, group: Sequence[Sentence], before: Sequence[Sentence]
    ) -> list[SentenceKind]:
        """One call; in two halves when the answer is cut off or does not fit."""
        schema = _answer_type(len(group))
        try:
            answer = await self._ledger.ask(self._request(group, before, schema), schema)
        except (AnswerTruncatedError, AnswerInvalidError):
            if len(group) == 1:
                raise
            middle = len(group) // 2
            first = await self._group(group[:middle], before)
            return first + await self._group(group[middle:], (*before, *group[:middle])[-CONTEXT:])
        return [getattr(answer, f"l{number}") for number in range(1, len(group) + 1)]

    def _request(
        self, group: Sequence[Sentence], before: Sequence[Sentence], schema: type[BaseModel]
    ) -> ChatRequest:
        lines = [f"l{number}: {line_of(item)}" for number, item in enumerate(group, start=1)]
        parts = [fenced("sentences", lines)]
        if before:
            parts.insert(0, fenced("before", map(line_of, before)))
        return mining_request(
            self._ledger,
            PROMPT,
            "\n".join(parts),
            "sentence_kinds",
            schema,
            _TOKENS_PER_SENTENCE * len(group) + _SPARE_TOKENS,
        )


def _answer_type(count: int) -> type[BaseModel]:
    fields: dict[str, object] = {
        f"l{number}": (SentenceKind, ...) for number in range(1, count + 1)
    }
    return create_model(  # type: ignore[call-overload,no-any-return]  # fields known only at run time
        "SentenceKinds", __config__=ConfigDict(frozen=True, extra="forbid"), **fields
    )
