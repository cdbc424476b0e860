"""The dialogues' files fit together, and hold what the evaluation is meant to be hard with."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from benchmarks.eval.dialogue import Dialogue, dialogue_names, load_dialogue
from stope.errors import UsageError
from stope.models.claim import ClaimType

WHY_NOT = {
    *("greeting", "introduction", "question", "request", "sponsor"),
    *("anecdote", "hedge", "filler", "meta"),
}


@pytest.fixture(params=dialogue_names())
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    return load_dialogue(request.param)


def test_every_sentence_is_either_a_claim_or_something_else(dialogue: Dialogue) -> None:
    for mark in dialogue.marks:
        assert (mark.type is not None) is mark.claim
        assert mark.claim or mark.why_not in WHY_NOT
    assert len({mark.sentence for mark in dialogue.marks}) == len(dialogue.marks)


def test_sentences_are_timed_one_after_the_other_within_their_turns(dialogue: Dialogue) -> None:
    for before, after in zip(dialogue.heard, dialogue.heard[1:], strict=False):
        assert before.start < before.end < after.start
    timed = zip(dialogue.marks, dialogue.heard, strict=True)
    turns = [list(group) for _, group in groupby(timed, key=lambda pair: pair[0].turn)]
    assert len(turns) == len(dialogue.turns)
    for sentences, turn in zip(turns, dialogue.turns, strict=True):
        assert sentences[0][0].speaker == turn.speaker
        assert sentences[0][1].start == pytest.approx(turn.start, abs=0.002)
        assert sentences[-1][1].end == pytest.approx(turn.end, abs=0.002)


def test_the_recording_is_there_and_two_or_more_speak(dialogue: Dialogue) -> None:
    assert dialogue.recording.stat().st_size > 100_000
    assert 2 <= dialogue.speakers <= 4


def test_checks_name_claims_and_facts(dialogue: Dialogue) -> None:
    checks = dialogue.checks
    for pair in (*checks.merge, *checks.apart):
        assert all(dialogue.marks[dialogue.place(sentence)].claim for sentence in pair)
    assert all(dialogue.marks[dialogue.place(sentence)].claim for sentence in checks.split)
    assert checks.facts
    assert checks.people


def test_together_they_cover_voices_types_and_what_is_hard() -> None:
    dialogues = [load_dialogue(name) for name in dialogue_names()]
    assert {dialogue.speakers for dialogue in dialogues} == {2, 3, 4}
    marks = [mark for dialogue in dialogues for mark in dialogue.marks]
    kinds = Counter(mark.type or mark.why_not for mark in marks)
    assert set(kinds) == set(ClaimType) | WHY_NOT
    assert min(kinds.values()) >= 4
    lengths = [(mark.claim, len(mark.sentence.split())) for mark in marks]
    assert sum(claim and length < 9 for claim, length in lengths) >= 20
    assert sum(not claim and length > 15 for claim, length in lengths) >= 20
    assert sum(len(dialogue.checks.merge) for dialogue in dialogues) >= 4


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="there are interview, "):
        load_dialogue("nothing")
