"""Selection is counted by the script's sentences, types, fates and grounding with it."""

from __future__ import annotations

from benchmarks.eval.grounding import check_grounding
from benchmarks.eval.script_alignment import ScriptAlignment
from benchmarks.eval.selection import (
    NOWHERE,
    Counts,
    PlacedClaim,
    Selection,
    place_claims,
    rule_selection,
    score_selection,
)
from stope.models.claim import Alignment, ClaimType, Evidence
from stope.models.knowledge import JudgedClaim
from stope.models.verdict import Decision
from tests.builders import transcript_of
from tests.eval_builders import dialogue_of, evidence_of, judged_of, knowledge_of

HOT = "The sun is hot."
LONG = "The sun is a very large ball of gas that shines."
TEA = "So then my brother and I went home and had some tea."
WHY = "Why is it that the sun shines on all of us?"
AGAIN = "It is very warm, our sun."

DIALOGUE = dialogue_of(
    ("ANN", HOT, ClaimType.FACTUAL),
    ("BOB", LONG, ClaimType.DEFINITION),
    ("ANN", TEA, "anecdote"),
    ("BOB", WHY, "question"),
    ("ANN", AGAIN, ClaimType.FACTUAL),
)
TRANSCRIPT = transcript_of(*((mark.speaker, mark.sentence) for mark in DIALOGUE.marks))
ALIGNMENT = ScriptAlignment(
    [mark.sentence for mark in DIALOGUE.marks], [word.text for word in TRANSCRIPT.words]
)


def _placed(*claims: JudgedClaim) -> tuple[PlacedClaim, ...]:
    return place_claims(knowledge_of(*claims), ALIGNMENT)


def _score(*claims: JudgedClaim) -> Selection:
    return score_selection(DIALOGUE, TRANSCRIPT, ALIGNMENT, _placed(*claims))


def _said(quote: str) -> Evidence:
    return evidence_of(TRANSCRIPT, quote)


def test_each_marked_sentence_once_is_perfect() -> None:
    score = _score(
        judged_of(_said(HOT)),
        judged_of(_said(LONG), kind=ClaimType.DEFINITION, rank=2),
        judged_of(_said(AGAIN), rank=3),
    )
    assert score.counts == Counts(found=3)
    assert (score.counts.precision, score.counts.recall, score.counts.f1) == (1, 1, 1)
    assert score.types_right == 3
    assert not score.false_positives
    assert not score.false_negatives


def test_a_merged_claim_keeps_its_sentences_and_a_split_one_counts_once() -> None:
    merged = _score(judged_of(_said(HOT), _said(AGAIN)))
    assert merged.counts == Counts(found=2, missed=1)
    split = _score(
        judged_of(_said("The sun is a very large ball of gas")),
        judged_of(_said("a very large ball of gas that shines."), rank=2),
    )
    assert split.counts == Counts(found=1, missed=2)


def test_evidence_over_several_sentences_finds_and_pays_for_each() -> None:
    score = _score(judged_of(_said(f"{HOT} {LONG} {TEA}")))
    assert score.counts == Counts(found=2, wrong=1, missed=1)
    [positive] = score.false_positives
    assert (positive.kind, positive.sentence) == ("anecdote", TEA)


def test_failures_are_named_with_what_became_of_them() -> None:
    score = _score(
        judged_of(_said(HOT), kind=ClaimType.NORMATIVE),
        judged_of(_said(WHY), rank=2),
        judged_of(_said(LONG), decision=Decision.REJECT, rank=3),
    )
    assert score.counts == Counts(found=1, wrong=1, missed=2)
    assert score.mined == Counts(found=2, wrong=1, missed=1)
    [wrong] = score.wrong_types
    assert (wrong.marked, wrong.given) == (ClaimType.FACTUAL, ClaimType.NORMATIVE)
    assert [(miss.sentence, miss.fate) for miss in score.false_negatives] == [
        (LONG, "mined, then reject: because"),
        (AGAIN, "not mined"),
    ]
    assert [item.kind for item in score.false_positives] == ["question"]


def test_the_claim_with_most_of_a_sentence_gives_its_type() -> None:
    score = _score(
        judged_of(_said("The sun is a very large ball"), kind=ClaimType.CAUSAL),
        judged_of(_said(LONG), kind=ClaimType.DEFINITION, rank=2),
    )
    assert score.types_right == 1


def test_an_accepted_claim_without_a_place_is_a_false_positive_and_not_grounded() -> None:
    invented = Evidence(
        quote="The moon is made of cheese.", alignment=Alignment.UNGROUNDED, score=0
    )
    score = _score(judged_of(invented))
    assert score.counts == Counts(wrong=1, missed=3)
    assert [item.kind for item in score.false_positives] == [NOWHERE]
    grounding = check_grounding(TRANSCRIPT, _placed(judged_of(invented), judged_of(_said(HOT))))
    assert (grounding.accepted, grounding.verbatim) == (2, 1)
    assert [item.reason for item in grounding.failures] == ["no place in the transcript"]


def test_grounding_notices_every_way_to_differ_from_the_transcript() -> None:
    right = _said(LONG)
    assert right.char_start is not None
    assert right.start is not None
    assert right.end_word is not None
    faults: dict[str, dict[str, object]] = {
        "words that are not in the transcript": {"end_word": len(TRANSCRIPT.words) + 1},
        "not the text at its characters": {"char_start": right.char_start + 1},
        "not the text of its words": {"end_word": right.end_word - 1},
        "not its words' times": {"start": right.start + 0.1},
    }
    for reason, change in faults.items():
        damaged = judged_of(right.model_copy(update=change))
        found = check_grounding(TRANSCRIPT, _placed(damaged))
        assert [item.reason for item in found.failures] == [reason]
        assert found.verbatim == 0
    rejected = judged_of(right.model_copy(update={"start": 0.0}), decision=Decision.REJECT)
    assert check_grounding(TRANSCRIPT, _placed(rejected)).accepted == 0


def test_the_rule_takes_long_sentences_that_do_not_ask() -> None:
    assert rule_selection(TRANSCRIPT, ALIGNMENT) == {1, 2}
    assert _score().rule == Counts(found=1, wrong=1, missed=2)


def test_counts_add_up_before_they_are_divided() -> None:
    total = Counts(found=1, wrong=1) + Counts(found=2, missed=2)
    assert total == Counts(found=3, wrong=1, missed=2)
    assert (total.precision, total.recall, total.f1) == (0.75, 0.6, 6 / 9)
    assert (Counts().precision, Counts().recall, Counts().f1) == (0, 0, 0)
