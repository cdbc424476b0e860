"""Flagship: verdicts go to claims by id, hopeless claims never reach the model, ranks are total."""

from __future__ import annotations

import json

import pytest

from stope.artifacts import ArtifactStore
from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.flagship.batches import MAX_CLAIMS, claim_text, plan_batches
from stope.flagship.judge import judge_batch
from stope.flagship.ranking import rank_claims, verdict_without_model
from stope.flagship.stage import evaluate
from stope.llm.chat import ChatRequest
from stope.llm.ledger import Ledger
from stope.llm.scripted import Reply, ScriptedChatModel, cut_off
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.claim import Claim, ClaimType
from stope.models.job import JobType
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.verdict import Decision, Tier, Verdict
from tests.builders import claim_of, ledger_of, stage_run_of
from tests.memory import MemoryMirror, MemoryUnitStore

CLAIMS = [claim_of(f"Statement number {number} is true.") for number in range(1, 6)]


def raw(importance: int, **more: object) -> dict[str, object]:
    """One verdict as a model writes it."""
    scores = {"importance": importance, "novelty": 4, "confidence": 7}
    return {"reason": "because", "decision": "accept", **scores, **more}


def answer(**verdicts: dict[str, object]) -> str:
    return json.dumps(verdicts)


def verdict_of(
    claim: Claim, importance: int = 5, *, decision: Decision = Decision.ACCEPT, confidence: int = 5
) -> Verdict:
    return Verdict(
        claim_id=claim.id,
        decision=decision,
        canonical_text=claim.text,
        importance=importance,
        novelty=5,
        confidence=confidence,
        reasoning="because",
    )


def shown_in(request: ChatRequest) -> list[str]:
    """The lines of claims that a request shows."""
    return request.messages[1].content.split("\n")[1:-1]


async def test_verdicts_are_matched_by_id_whatever_their_order() -> None:
    model = ScriptedChatModel([answer(c3=raw(3), c1=raw(1), c2=raw(2))])
    judged = await judge_batch(CLAIMS[:3], ledger_of(model))
    assert [item.claim_id for item in judged.verdicts] == [claim.id for claim in CLAIMS[:3]]
    assert [item.importance for item in judged.verdicts] == [1, 2, 3]


@pytest.mark.parametrize(
    "bad",
    [
        answer(c1=raw(1)),
        answer(c1=raw(1), c2=raw(2), c3=raw(3)),
        answer(c1=raw(1), c2=raw(11)),
        answer(c1=raw(1), c2=raw(2, decision="merge")),
        "no JSON",
    ],
    ids=["one missing", "one too many", "off the scale", "unknown decision", "no JSON"],
)
async def test_a_batch_that_is_answered_badly_is_asked_for_in_halves(bad: str) -> None:
    model = ScriptedChatModel([bad, bad, answer(c1=raw(8)), answer(c1=raw(9))])
    judged = await judge_batch(CLAIMS[:2], ledger_of(model))
    assert [item.claim_id for item in judged.verdicts] == [claim.id for claim in CLAIMS[:2]]
    assert [item.importance for item in judged.verdicts] == [8, 9]
    assert [len(shown_in(request)) for request in model.requests] == [2, 2, 1, 1]


async def test_a_batch_that_is_cut_off_is_asked_for_in_halves_at_once() -> None:
    def reply(request: ChatRequest) -> Reply:
        count = len(shown_in(request))
        full = answer(**{f"c{number}": raw(count) for number in range(1, count + 1)})
        return cut_off(full) if count > 2 else full

    model = ScriptedChatModel(reply)
    judged = await judge_batch(CLAIMS, ledger_of(model))
    assert [item.claim_id for item in judged.verdicts] == [claim.id for claim in CLAIMS]
    assert [len(shown_in(request)) for request in model.requests] == [5, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("reply", "error"), [(cut_off("{"), AnswerTruncatedError), ("no JSON", AnswerInvalidError)]
)
async def test_a_single_claim_that_cannot_be_judged_is_an_error(
    reply: Reply, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await judge_batch(CLAIMS[:1], ledger_of(ScriptedChatModel([reply, reply])))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  Number 1 is a true statement. ", "Number 1 is a true statement."),
        ("Bananas are yellow and bent.", CLAIMS[0].text),
        (None, CLAIMS[0].text),
        (" ", CLAIMS[0].text),
    ],
)
async def test_a_better_wording_is_taken_unless_it_says_something_else(
    text: str | None, canonical: str
) -> None:
    model = ScriptedChatModel([answer(c1=raw(5, text=text))])
    (verdict,) = (await judge_batch(CLAIMS[:1], ledger_of(model))).verdicts
    assert verdict.canonical_text == canonical


@pytest.mark.parametrize(
    "claim",
    [
        claim_of("Nobody said this.", grounded=False),
        claim_of("Bees matter.", quote="Why do bees matter?"),
        claim_of("Bees matter.", quote='"Why do bees matter?" '),
        *(
            pytest.param(
                claim_of("Bees matter.", quote=quote),
            )
            for quote in ("“Why do bees matter?”", "(Why do bees matter?)", "蜜蜂为什么重要？")  # noqa: RUF001  (as people write)
        ),
    ],
    ids=lambda claim: claim.evidence[0].quote,
)
def test_what_was_not_said_and_what_asks_is_rejected_without_a_model(claim: Claim) -> None:
    verdict = verdict_without_model(claim)
    assert verdict is not None
    assert (verdict.claim_id, verdict.decision) == (claim.id, Decision.REJECT)
    assert (verdict.importance, verdict.tier) == (0, Tier.C)


def test_a_grounded_statement_is_left_to_the_model() -> None:
    assert verdict_without_model(claim_of("Why bees matter is known.")) is None


async def evaluated(
    claims: list[Claim], model: ScriptedChatModel, units: MemoryUnitStore, mirror: MemoryMirror
) -> Knowledge:
    """What the whole stage knows about claims."""
    artifacts = ArtifactStore("memory://")
    mined = MinedClaims(
        transcript_digest="0" * 64, model=model.identity, segments=1, claims=tuple(claims)
    )

    class Records:
        async def write_verdicts(self, output_id: str, knowledge: Knowledge) -> None:
            """The rows are of no interest here."""

    async def open_ledger(_name: str) -> Ledger:
        return ledger_of(model)

    digest = await artifacts.put_model(mined)
    outcome = await evaluate(
        stage_run_of(JobType.FLAGSHIP, digest, FlagshipCheckpoint(), mirror),
        units=units,
        artifacts=artifacts,
        records=Records(),
        open_ledger=open_ledger,
    )
    return await artifacts.get_model(str(outcome.result["knowledge_digest"]), Knowledge)


async def test_only_undecided_claims_reach_the_model_and_all_claims_are_ranked() -> None:
    ungrounded = claim_of("Nobody said this.", grounded=False)
    question = claim_of("Why do bees matter?")
    claims = [ungrounded, CLAIMS[0], question, CLAIMS[1]]
    model, mirror = ScriptedChatModel([answer(c1=raw(3), c2=raw(9))]), MemoryMirror()
    knowledge = await evaluated(claims, model, MemoryUnitStore(), mirror)
    assert [shown_in(request) for request in model.requests] == [
        [f"c{number}: {claim.text}" for number, claim in enumerate(CLAIMS[:2], start=1)]
    ]
    assert [(item.rank, item.claim, item.verdict.decision) for item in knowledge.claims] == [
        (1, CLAIMS[1], Decision.ACCEPT),
        (2, CLAIMS[0], Decision.ACCEPT),
        (3, ungrounded, Decision.REJECT),
        (4, question, Decision.REJECT),
    ]
    assert mirror.bodies[-1]["completed_claims"] == [claim.id for claim in claims]
    assert mirror.bodies[-1]["progress_percent"] == 100


async def test_committed_verdicts_are_found_again_by_claims_of_other_ids() -> None:
    units, claim = MemoryUnitStore(), claim_of("Bees matter.")
    namesake = claim.model_copy(update={"id": "clm_000000000000", "type": ClaimType.CAUSAL})
    for claims in ([claim], [namesake]):
        model = ScriptedChatModel(lambda _: answer(c1=raw(9)))
        knowledge = await evaluated(claims, model, units, MemoryMirror())
        assert [item.claim for item in knowledge.claims] == claims


def test_ranks_are_total_and_do_not_depend_on_the_order_of_verdicts() -> None:
    verdicts = {
        CLAIMS[0].id: verdict_of(CLAIMS[0], 10, decision=Decision.REJECT),
        CLAIMS[1].id: verdict_of(CLAIMS[1], 5),
        CLAIMS[2].id: verdict_of(CLAIMS[2], 5, confidence=6),
        CLAIMS[3].id: verdict_of(CLAIMS[3], 6),
        CLAIMS[4].id: verdict_of(CLAIMS[4], 5),
    }
    ranked = rank_claims(CLAIMS, verdicts)
    assert [item.claim for item in ranked] == [CLAIMS[place] for place in (3, 2, 1, 4, 0)]
    assert [item.rank for item in ranked] == [1, 2, 3, 4, 5]
    assert rank_claims(CLAIMS, dict(reversed(verdicts.items()))) == ranked


def test_a_claim_without_a_verdict_has_no_rank() -> None:
    ranked = rank_claims(CLAIMS, {CLAIMS[4].id: verdict_of(CLAIMS[4])})
    assert [(item.rank, item.claim) for item in ranked] == [(1, CLAIMS[4])]


def test_tiers_follow_from_importance() -> None:
    assert "".join(Tier.of(importance).value for importance in range(11)) == "CCCCCBBBAAA"


def batch_sizes(count: int) -> list[int]:
    claims = [claim_of(f"Statement {number}.") for number in range(count)]
    batches = plan_batches(claims, context=100_000).batches
    assert [name for batch in batches for name in batch.claim_ids] == [c.id for c in claims]
    return [len(batch.claim_ids) for batch in batches]


def test_batches_hold_every_claim_once_and_few_each() -> None:
    assert batch_sizes(0) == []
    assert batch_sizes(MAX_CLAIMS) == [MAX_CLAIMS]
    assert batch_sizes(MAX_CLAIMS + 1) == [5, 4]


def test_batches_are_of_nearly_equal_size() -> None:
    assert max(batch_sizes(50)) - min(batch_sizes(50)) <= 1


def test_a_claim_is_shown_with_the_words_it_rests_on_unless_it_is_them() -> None:
    assert claim_text(claim_of("Bees matter.")) == "Bees matter."
    shown = claim_text(claim_of("Bees matter.", quote="they\nmatter"))
    assert shown == 'Bees matter. (words: "they matter")'
