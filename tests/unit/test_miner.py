"""Mining one segment: selected by one step, rewritten by another, nothing asked twice."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stope.llm.scripted import ScriptedChatModel
from stope.mining.miner import mine_segment
from stope.mining.selection.asked import AskedSelector
from stope.models.sentence import Sentence, SentenceKind
from tests.builders import kinds_reply, ledger_of, sentences_from
from tests.memory import MemoryLedgerStore

K = SentenceKind
TALK = sentences_from(
    "Why do bees matter?",
    "Bees pollinate a third of our crops.",
    "They die when the fields are sprayed.",
    "Are they safe?",
)


class GivenKinds:
    """A selector that is told the kinds."""

    identity = "given"

    def __init__(self, *kinds: SentenceKind) -> None:
        self._kinds = kinds

    async def select(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        assert len(sentences) == len(self._kinds)
        return self._kinds


async def test_only_claims_that_point_elsewhere_are_rewritten() -> None:
    kinds = (K.QUESTION, K.FACTUAL, K.CAUSAL, K.QUESTION)
    wording = "Bees die when the fields are sprayed."
    model = ScriptedChatModel([json.dumps({"s3": wording})])
    part = await mine_segment(TALK, GivenKinds(*kinds), ledger_of(model))
    assert (part.kinds, part.rewritings, part.named) == (kinds, {2: wording}, ())
    assert len(model.requests) == 1


async def test_a_segment_that_claims_nothing_costs_no_call() -> None:
    kinds = (K.QUESTION, K.META, K.ANECDOTE, K.QUESTION)
    part = await mine_segment(TALK, GivenKinds(*kinds), ledger_of(ScriptedChatModel([])))
    assert (part.kinds, part.rewritings) == (kinds, {})


async def test_a_failed_rewriting_loses_no_claim() -> None:
    kinds = (K.QUESTION, K.FACTUAL, K.CAUSAL, K.QUESTION)
    model = ScriptedChatModel(lambda _: "no JSON")
    part = await mine_segment(TALK, GivenKinds(*kinds), ledger_of(model))
    assert (part.kinds, part.rewritings) == (kinds, {})


async def test_what_was_paid_for_is_not_asked_again() -> None:
    store = MemoryLedgerStore()
    wording = json.dumps({"s3": "Bees die when the fields are sprayed."})

    async def mined(model: ScriptedChatModel) -> object:
        ledger = ledger_of(model, store)
        return await mine_segment(TALK, AskedSelector(ledger), ledger)

    first = ScriptedChatModel(
        lambda request: (
            wording
            if request.schema_name == "rewritings"
            else kinds_reply(request, lambda text: "question" if text.endswith("?") else "factual")
        )
    )
    part = await mined(first)
    assert len(first.requests) == 2
    assert await mined(ScriptedChatModel([])) == part
