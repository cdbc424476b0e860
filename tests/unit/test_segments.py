"""The segment plan: every word once, in order, cut between sentences, within the budget."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from stope.llm.tokens import estimate_tokens
from stope.mining.segments import SegmentPlan, line_of, plan_segments
from stope.mining.sentences import sentences_of
from stope.models.segment import Segment
from stope.models.transcript import Transcript
from tests.builders import transcript_of

SHORT = "Bees pollinate a third of our crops."
"""A sentence of 10 estimated tokens."""


def cost_of(segment: Segment) -> int:
    """The estimated tokens of a segment as a model reads it."""
    return sum(estimate_tokens(line_of(sentence)) for sentence in segment.sentences)


def lines_of(plan: SegmentPlan) -> list[list[str]]:
    return [[line_of(sentence) for sentence in segment.sentences] for segment in plan.segments]


def assert_covers(plan: SegmentPlan, transcript: Transcript) -> None:
    """Every word of the transcript stands in exactly one sentence of one segment, in order."""
    sentences = [sentence for segment in plan.segments for sentence in segment.sentences]
    ends = [0, *(sentence.end_word for sentence in sentences)]
    assert [sentence.first_word for sentence in sentences] == ends[:-1]
    assert ends[-1] == len(transcript.words)
    words = " ".join(sentence.text for sentence in sentences).split()
    assert words == [word.text for word in transcript.words]


def random_transcript(seed: int) -> Transcript:
    """Utterances of 1 to 60 words of 1 to 12 letters, some of them by somebody."""
    chance = random.Random(seed)  # noqa: S311  (a test's dice)
    turns = []
    for _ in range(40):
        words = ["x" * chance.randint(1, 12) for _ in range(chance.randint(1, 60))]
        speaker = chance.choice(["ANN", "Bartholomew"])
        turns.append((speaker, " ".join(words) + chance.choice([".", "?", ""])))
    return transcript_of(*turns)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [20, 50, 200, 10_000])
def test_segments_cover_every_word_once_and_keep_the_budget(seed: int, budget: int) -> None:
    transcript = random_transcript(seed)
    plan = plan_segments(transcript, budget)
    assert_covers(plan, transcript)
    assert max(map(cost_of, plan.segments)) <= budget


def test_a_segment_takes_as_many_sentences_as_fit() -> None:
    plan = plan_segments(transcript_of(*[SHORT] * 5), budget=2 * estimate_tokens(SHORT))
    assert [len(segment.sentences) for segment in plan.segments] == [2, 2, 1]


def test_cuts_stand_between_sentences_that_fit_the_budget() -> None:
    transcript = transcript_of(*[SHORT, "No.", "They do it in spring, most of them."] * 4)
    plan = plan_segments(transcript, budget=25)
    assert len(plan.segments) > 1
    whole = [sentence for segment in plan.segments for sentence in segment.sentences]
    assert whole == list(sentences_of(transcript))


def test_a_sentence_over_the_budget_is_cut_between_its_words_only() -> None:
    transcript = transcript_of("Before.", " ".join(["pollinate"] * 50), "After.")
    plan = plan_segments(transcript, budget=50)
    assert_covers(plan, transcript)
    assert max(map(cost_of, plan.segments)) <= 50
    full = [segment for segment in plan.segments if cost_of(segment) > 40]
    assert len(full) >= len(plan.segments) - 2


def test_a_word_over_the_budget_is_a_segment_of_its_own() -> None:
    transcript = transcript_of(SHORT, "x" * 500 + ".", SHORT)
    plan = plan_segments(transcript, budget=50)
    assert_covers(plan, transcript)
    assert ["x" * 500 + "."] in lines_of(plan)


def test_a_segment_has_its_number_and_the_times_of_its_words() -> None:
    transcript = transcript_of(SHORT, SHORT, SHORT)
    plan = plan_segments(transcript, budget=estimate_tokens(SHORT))
    assert [segment.id for segment in plan.segments] == ["seg_0001", "seg_0002", "seg_0003"]
    for segment in plan.segments:
        assert segment.start == transcript.words[segment.first_word].start
        assert segment.end == transcript.words[segment.end_word - 1].end
    assert all(before.end == after.start for before, after in pairwise(plan.segments))


def test_a_line_is_a_sentence_led_by_who_says_it() -> None:
    transcript = transcript_of(("ANN", "Why?"), ("BOB", "Because."), ("BOB", "So."), ("ANN", "Ah."))
    plan = plan_segments(transcript, budget=100)
    assert lines_of(plan) == [["ANN: Why?", "BOB: Because.", "BOB: So.", "ANN: Ah."]]
    assert lines_of(plan_segments(transcript_of("Why?"), budget=100)) == [["Why?"]]


def test_the_names_of_speakers_count_towards_the_budget() -> None:
    long = " ".join(["pollinate"] * 50)
    turns = [("Bartholomew Featherstonehaugh", "Yes."), ("Wilhelmina Cholmondeley", long)] * 20
    transcript = transcript_of(*turns)
    plan = plan_segments(transcript, budget=50)
    assert_covers(plan, transcript)
    assert max(map(cost_of, plan.segments)) <= 50


def test_an_empty_transcript_has_no_segments() -> None:
    assert plan_segments(transcript_of(), budget=50).segments == ()


def test_the_same_transcript_is_always_cut_the_same() -> None:
    assert plan_segments(random_transcript(7), 80) == plan_segments(random_transcript(7), 80)


def test_a_stored_plan_is_read_back_as_it_was() -> None:
    plan = plan_segments(random_transcript(3), 80)
    assert SegmentPlan.model_validate_json(plan.model_dump_json()) == plan
