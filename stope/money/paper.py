"""A run on paper: the real requests of a stage, answered by the ledger or else by a guess.

The stages' own code makes the requests, so that their number and their prompts are those of a real
run as far as they do not hang on answers. Where an answer is in the ledger it is taken, and paid
for; else one is made up, from the two ends of what a model may say (``Lean``), and counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stope.engines import ChatFacts
from stope.flagship.exam import MATTERS
from stope.identity import canonical_json
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.fit import parsed
from stope.llm.ledger import Ledger, LedgerStore
from stope.mining.standalone import needs_context

Answer = TypeVar("Answer", bound=BaseModel)

_NEVER = datetime.max.replace(tzinfo=UTC)
"""No answer was rejected since then: a bad one is not served to a new run."""

_NUMBERED = re.compile(r"^([a-z]?\d+)\*?: (.*)$", re.MULTILINE)
_MARKED = re.compile(r"^s(\d+)\*: (.*)$", re.MULTILINE)


class Lean(StrEnum):
    """Which end of a range a guess is at."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Leaning:
    """What a guess at one end assumes.

    ``claim_words``: the fewest words of a sentence, not a question, that is taken for a claim;
    ``pointing_words``: of one that points outside itself, which has to be reworded then.
    ``names_share``: tokens of an answer on names, of those of its prompt's text.
    ``summary``: tokens of a summary. ``repairs``: calls on top, for answers that do not fit.
    ``same``: share of claims that are compared with another one; ``split``: share, of those that
    join clauses by their wording, that are offered for splitting. ``passes``: whether the model
    passes the exam and judges. ``prompt_bytes``, ``answer_bytes``: bytes of one token.
    ``schema``: whether the schema of an answer is counted with its prompt.
    """

    claim_words: int
    pointing_words: int
    names_share: float
    summary: int
    repairs: float
    same: float
    split: float
    passes: bool
    prompt_bytes: float
    answer_bytes: float
    schema: bool


LEANINGS = {
    Lean.LOW: Leaning(13, 20, 0.03, 60, 0.0, 0.0, 0.5, False, 4.6, 4.5, False),
    Lean.HIGH: Leaning(8, 8, 0.25, 160, 0.05, 0.35, 1.0, True, 3.8, 3.2, True),
}
"""The rule "not a question, nine words or more" finds claims about as well as a model does; the two
ends lie around it. The rest are the ends of what models of 0.5 billion parameters and more were
seen to do on the examples, widened."""


class PaperModel:
    """A chat model of which only the facts are known. Nobody can ask it."""

    def __init__(self, facts: ChatFacts) -> None:
        self.identity = facts.identity
        self.parallel = facts.parallel
        self.context = facts.context
        self.complete_answers = facts.complete_answers

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """See ``ChatModel``."""
        raise AssertionError(f"a plan asked {self.identity} for {request.schema_name}")

    def doubt(self, answer: ChatAnswer) -> None:
        """See ``ChatModel``."""


@dataclass
class Count:
    """What a run on paper came to: calls to pay for, their tokens, and calls that are paid for."""

    calls: float = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0
    paid: float = 0

    def scaled(self, factor: float) -> Count:
        """So many times as much."""
        return Count(
            self.calls * factor,
            self.prompt_tokens * factor,
            self.completion_tokens * factor,
            self.paid * factor,
        )


@dataclass
class PaperLedger(Ledger):
    """Stands in for a run's ledger; asks nobody and writes nothing.

    ``store`` is None where the requests are made up as well, so that nobody has answered them.
    """

    store: LedgerStore | None
    paper: PaperModel
    namespace: str
    lean: Lean
    count: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        # Only what is asked of a ledger from outside is used of it: its model.
        self.model = self.paper

    @property
    def leaning(self) -> Leaning:
        """What is assumed."""
        return LEANINGS[self.lean]

    async def ask(self, request: ChatRequest, answer_type: type[Answer]) -> Answer:
        """The ledger's answer, or a made-up one that fits the type."""
        known = None
        if self.store is not None:
            known = await self.store.find(request.key(self.namespace), _NEVER)
        if known is not None and known.status != "rejected":
            self.count.paid += 1
            try:
                return parsed(known.answer.content, answer_type)
            except ValidationError:
                # It does not fit: a run would have it repaired.
                return self._guessed(request, answer_type)
        return self._guessed(request, answer_type)

    def _guessed(self, request: ChatRequest, answer_type: type[Answer]) -> Answer:
        leaning = self.leaning
        answer = answer_type.model_validate(_GUESSES[request.schema_name](request, leaning))
        prompt, completion = (
            self._prompt_tokens(request),
            _completion_tokens(request, answer, leaning),
        )
        self.count.calls += 1 + leaning.repairs
        # A repair shows the first answer as well.
        self.count.prompt_tokens += prompt + leaning.repairs * (prompt + completion)
        self.count.completion_tokens += (1 + leaning.repairs) * completion
        return answer

    def _prompt_tokens(self, request: ChatRequest) -> int:
        texts = [message.content for message in request.messages]
        if self.leaning.schema and self.paper.complete_answers:
            # An embedded server holds the model to the schema; others may show it to the model.
            texts.append(canonical_json(request.answer_schema))
        size = self.leaning.prompt_bytes
        return sum(math.ceil(len(text.encode()) / size) + 4 for text in texts)


def is_claim(text: str, leaning: Leaning) -> bool:
    """Whether a sentence is taken for a claim."""
    fewest = leaning.pointing_words if needs_context(text) else leaning.claim_words
    return not text.rstrip().endswith("?") and len(text.split()) >= fewest


def _completion_tokens(request: ChatRequest, answer: BaseModel, leaning: Leaning) -> int:
    if request.schema_name == "named_things":
        said = len(request.messages[-1].content.encode()) / leaning.prompt_bytes
        found = 20 + said * leaning.names_share
    elif request.schema_name == "summary":
        found = leaning.summary
    else:
        found = len(answer.model_dump_json().encode()) / leaning.answer_bytes
    return min(math.ceil(found), request.max_tokens)


def _lines(request: ChatRequest) -> dict[str, str]:
    return dict(_NUMBERED.findall(request.messages[-1].content))


def _kinds(request: ChatRequest, leaning: Leaning) -> object:
    return {
        name: "factual" if is_claim(text, leaning) else "filler"
        for name, text in _lines(request).items()
    }


def _rewritings(request: ChatRequest, _leaning: Leaning) -> object:
    return {f"s{number}": text for number, text in _MARKED.findall(request.messages[-1].content)}


def _named(_request: ChatRequest, _leaning: Leaning) -> object:
    return {"people": [], "organisations": [], "terms": [], "concepts": []}


def _scores(request: ChatRequest, leaning: Leaning) -> object:
    weighty = "222" if leaning.passes else "000"
    trifling = "000" if request.schema_name == "exam" else "111"
    return {
        name: weighty if text in MATTERS else trifling for name, text in _lines(request).items()
    }


def _pairs(request: ChatRequest, _leaning: Leaning) -> object:
    return dict.fromkeys(_lines(request), "other")


def _splits(request: ChatRequest, _leaning: Leaning) -> object:
    return {name: [] for name in _lines(request)}


def _summary(request: ChatRequest, _leaning: Leaning) -> object:
    lines = list(_lines(request).values())
    return {"short": " ".join(lines[0].split()[:20]), "long": lines[:3]}


def _themes(request: ChatRequest, _leaning: Leaning) -> object:
    return {name: " ".join(text.split()[:3]) for name, text in _lines(request).items()}


_GUESSES: dict[str, Callable[[ChatRequest, Leaning], object]] = {
    "sentence_kinds": _kinds,
    "rewritings": _rewritings,
    "named_things": _named,
    "judge": _scores,
    "exam": _scores,
    "merge": _pairs,
    "split": _splits,
    "summary": _summary,
    "themes": _themes,
}
"""What is made up for each schema that a stage asks for."""
