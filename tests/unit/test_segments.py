"""The segment plan: every word once, in order, cut between utterances, within the budget."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from stope.llm.tokens import estimate_tokens
from stope.mining.segments import SegmentPlan, plan_segments
from stope.models.transcript import Transcript
from tests.builders import transcript_of

SHORT = "Bees pollinate a third of our crops."
"""A sentence of 10 estimated tokens."""


def assert_covers(plan: SegmentPlan, transcript: Transcript) -> None:
    """Every word of the transcript stands in exactly one segment, in order."""
    ends = [0, *(segment.end_word for segment in plan.segments)]
    assert [segment.first_word for segment in plan.segments] == ends[:-1]
    assert ends[-1] == len(transcript.words)
    words = " ".join(segment.text for segment in plan.segments).split()
    assert words == [word.text for word in transcript.words]


def random_transcript(seed: int) -> Transcript:
    """Utterances of 1 to 60 words of 1 to 12 letters."""
    chance = random.Random(seed)  # noqa: S311  (a test's dice)
    return transcript_of(
        *(
            " ".join("x" * chance.randint(1, 12) for _ in range(chance.randint(1, 60)))
            for _ in range(40)
        )
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [20, 50, 200, 10_000])
def test_segments_cover_every_word_once_and_keep_the_budget(seed: int, budget: int) -> None:
    transcript = random_transcript(seed)
    plan = plan_segments(transcript, budget)
    assert_covers(plan, transcript)
    assert max(estimate_tokens(segment.text) for segment in plan.segments) <= budget


def test_a_segment_takes_as_many_utterances_as_fit() -> None:
    plan = plan_segments(transcript_of(*[SHORT] * 5), budget=2 * estimate_tokens(SHORT))
    assert [segment.text.count("\n") + 1 for segment in plan.segments] == [2, 2, 1]


def test_cuts_stand_between_utterances_that_fit_the_budget() -> None:
    transcript = transcript_of(*[SHORT, "No.", "They do it in spring, most of them."] * 4)
    plan = plan_segments(transcript, budget=25)
    ends = {utterance.end_word for utterance in transcript.utterances}
    assert len(plan.segments) > 1
    assert {segment.end_word for segment in plan.segments} <= ends


def test_an_utterance_over_the_budget_is_cut_between_its_words_only() -> None:
    transcript = transcript_of("Before.", " ".join(["pollinate"] * 200), "After.")
    plan = plan_segments(transcript, budget=50)
    assert_covers(plan, transcript)
    assert max(estimate_tokens(segment.text) for segment in plan.segments) <= 50
    full = [segment for segment in plan.segments if estimate_tokens(segment.text) > 40]
    assert len(full) >= len(plan.segments) - 2


def test_a_word_over_the_budget_is_a_segment_of_its_own() -> None:
    transcript = transcript_of(SHORT, "x" * 500, SHORT)
    plan = plan_segments(transcript, budget=50)
    assert_covers(plan, transcript)
    assert "x" * 500 in [segment.text for segment in plan.segments]


def test_a_segment_has_its_number_and_the_times_of_its_words() -> None:
    transcript = transcript_of(SHORT, SHORT, SHORT)
    plan = plan_segments(transcript, budget=estimate_tokens(SHORT))
    assert [segment.id for segment in plan.segments] == ["seg_0001", "seg_0002", "seg_0003"]
    for segment in plan.segments:
        assert segment.start == transcript.words[segment.first_word].start
        assert segment.end == transcript.words[segment.end_word - 1].end
    assert all(before.end == after.start for before, after in pairwise(plan.segments))


def test_a_line_is_an_utterance_and_a_new_speaker_is_named_before_their_words() -> None:
    transcript = transcript_of(("ANN", "Why?"), ("BOB", "Because."), ("BOB", "So."), ("ANN", "Ah."))
    (segment,) = plan_segments(transcript, budget=100).segments
    assert segment.text == "ANN: Why?\nBOB: Because.\nSo.\nANN: Ah."


def test_every_segment_names_its_first_speaker() -> None:
    transcript = transcript_of(*[("ANN", SHORT)] * 3)
    plan = plan_segments(transcript, budget=estimate_tokens(SHORT))
    assert [segment.text for segment in plan.segments] == [f"ANN: {SHORT}"] * 3


def test_the_names_of_speakers_count_towards_the_budget() -> None:
    turns = [("Bartholomew Featherstonehaugh", "Yes."), ("Wilhelmina Cholmondeley", "No.")] * 20
    plan = plan_segments(transcript_of(*turns), budget=100)
    assert max(estimate_tokens(segment.text) for segment in plan.segments) <= 100


def test_an_empty_transcript_has_no_segments() -> None:
    assert plan_segments(transcript_of(), budget=50).segments == ()


def test_the_same_transcript_is_always_cut_the_same() -> None:
    assert plan_segments(random_transcript(7), 80) == plan_segments(random_transcript(7), 80)
