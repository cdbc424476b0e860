"""Claims: one per selected sentence, on that sentence's own words and times."""

from __future__ import annotations

import random

import pytest

from stope.mining.answer import MinedPart
from stope.mining.claims import assemble_claims, count_skipped
from stope.mining.segments import SegmentPlan, plan_segments
from stope.models.claim import Alignment, Claim, ClaimType, Stance
from stope.models.sentence import SentenceKind
from stope.models.transcript import Transcript
from tests.builders import transcript_of

K = SentenceKind
TALK = transcript_of(
    ("ANN", "Why do bees matter?"),
    ("BOB", "And bees pollinate a third of our crops."),
    ("BOB", "They may die out by 2040."),
    ("ANN", "Hello."),
)
KINDS = (K.QUESTION, K.FACTUAL, K.FORECAST, K.GREETING)


def planned(transcript: Transcript, budget: int = 1000) -> SegmentPlan:
    return plan_segments(transcript, budget)


def assembled(transcript: Transcript, **parts: MinedPart) -> tuple[Claim, ...]:
    return assemble_claims(transcript, planned(transcript).segments, parts)


def test_a_claim_stands_on_its_sentence() -> None:
    part = MinedPart(kinds=KINDS, rewritings={2: "Bees may die out by 2040."})
    first, second = assembled(TALK, seg_0001=part)
    assert (first.text, first.type, first.rewritten) == (
        "Bees pollinate a third of our crops.",
        ClaimType.FACTUAL,
        True,
    )
    assert (second.text, second.type, second.stance) == (
        "Bees may die out by 2040.",
        ClaimType.FORECAST,
        Stance.HEDGED,
    )
    assert [claim.evidence[0].quote for claim in (first, second)] == [
        "And bees pollinate a third of our crops.",
        "They may die out by 2040.",
    ]
    assert {claim.evidence[0].speaker for claim in (first, second)} == {"BOB"}


@pytest.mark.parametrize("seed", range(8))
def test_evidence_is_always_verbatim_with_the_words_own_times(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  (a test's dice)
    talk = transcript_of(
        *(
            (chance.choice("AB"), " ".join(chance.choices(["bees", "die.", "18%", "“so”"], k=5)))
            for _ in range(60)
        )
    )
    plan = planned(talk, budget=80)
    parts = {
        segment.id: MinedPart(
            kinds=tuple(chance.choice(list(K)) for _ in segment.sentences),
            rewritings={0: "A wording of the model's."},
        )
        for segment in plan.segments
    }
    claims = assemble_claims(talk, plan.segments, parts)
    claiming = [
        sentence.text
        for segment in plan.segments
        for sentence, kind in zip(segment.sentences, parts[segment.id].kinds, strict=True)
        if kind.claim_type
    ]
    quotes = [evidence for claim in claims for evidence in claim.evidence]
    assert sorted(evidence.quote for evidence in quotes) == sorted(claiming)
    for evidence in quotes:
        words = talk.words[evidence.first_word : evidence.end_word]
        assert (evidence.alignment, evidence.score) == (Alignment.EXACT, 100)
        assert evidence.quote == talk.text[evidence.char_start : evidence.char_end]
        assert (evidence.start, evidence.end) == (words[0].start, words[-1].end)
    assert len({claim.id for claim in claims}) == len(claims)


def test_what_is_said_twice_in_a_segment_is_one_claim_with_both_places() -> None:
    talk = transcript_of("Bees die.", "Why?", "And bees die!")
    (claim,) = assembled(talk, seg_0001=MinedPart(kinds=(K.FACTUAL, K.QUESTION, K.CAUSAL)))
    assert (claim.text, claim.type) == ("Bees die.", ClaimType.FACTUAL)
    assert [evidence.quote for evidence in claim.evidence] == ["Bees die.", "And bees die!"]


def test_the_same_words_in_two_segments_are_two_claims_with_ids_of_their_own() -> None:
    talk = transcript_of(*["Bees pollinate a third of our crops."] * 2)
    plan = planned(talk, budget=14)
    parts = {segment.id: MinedPart(kinds=(K.FACTUAL,)) for segment in plan.segments}
    one, other = assemble_claims(talk, plan.segments, parts)
    assert (one.segment_id, other.segment_id) == ("seg_0001", "seg_0002")
    assert one.id != other.id


def test_an_id_does_not_depend_on_what_else_is_in_the_transcript() -> None:
    alone = transcript_of("Bees die.")
    later = transcript_of("Why?", "Bees die.")
    (one,) = assembled(alone, seg_0001=MinedPart(kinds=(K.FACTUAL,)))
    (other,) = assembled(later, seg_0001=MinedPart(kinds=(K.QUESTION, K.FACTUAL)))
    assert one.id == other.id


def test_a_segment_without_output_is_left_out() -> None:
    talk = transcript_of(*["Bees pollinate a third of our crops."] * 2)
    plan = planned(talk, budget=14)
    (claim,) = assemble_claims(talk, plan.segments, {"seg_0002": MinedPart(kinds=(K.FACTUAL,))})
    assert claim.segment_id == "seg_0002"


def test_sentences_that_claim_nothing_are_counted_by_their_kind() -> None:
    parts = {
        "seg_0001": MinedPart(kinds=KINDS),
        "seg_0002": MinedPart(kinds=(K.QUESTION, K.SPONSOR)),
    }
    assert count_skipped(parts) == {"question": 2, "greeting": 1, "sponsor": 1}
    assert next(iter(count_skipped(parts))) == "question"
