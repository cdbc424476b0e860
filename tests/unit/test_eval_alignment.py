"""Transcript words find their place in the script, whatever recognition made of the others."""

from __future__ import annotations

import pytest

from benchmarks.eval.script_alignment import ScriptAlignment

SCRIPT = [
    "Lord Kelvin described the idea in eighteen fifty two.",
    "Why is that?",
    "Ninety percent of all goods travel by sea.",
    "It is short.",
]


def _aligned(transcript: str) -> tuple[ScriptAlignment, list[str]]:
    words = transcript.split()
    return ScriptAlignment(SCRIPT, words), words


def test_equal_words_lie_on_each_other() -> None:
    alignment, words = _aligned(" ".join(SCRIPT))
    assert alignment.sentences_in(0, 9) == {0: 9}
    assert alignment.sentences_in(12, 20) == {2: 8}
    assert alignment.sentences_in(0, len(words)) == {0: 9, 1: 3, 2: 8, 3: 3}
    assert [
        n for word in range(len(words)) if (n := alignment.sentence_from(word)) is not None
    ] == [*(0, 1, 2, 3)]


def test_numbers_written_as_digits_stay_in_their_sentences() -> None:
    alignment, words = _aligned(
        "Lord Kelvin described the idea in 1852. Why is that? 90% of all goods travel by sea. "
        "It is short."
    )
    year, share = words.index("1852."), words.index("90%")
    assert alignment.sentences_in(0, year + 1) == {0: 9}
    assert alignment.sentences_in(year + 1, share) == {1: 3}
    assert alignment.sentence_from(share) == 2
    assert alignment.sentences_in(share, share + 7) == {2: 8}


def test_wrong_missing_and_inserted_words_do_not_shift_what_follows() -> None:
    alignment, words = _aligned(
        "Lord Calvin described in the idea in 1852. Ninety percent goods travel um by sea. It is "
        "short."
    )
    assert alignment.sentence_of(words.index("Calvin")) == 0
    assert alignment.sentence_from(words.index("Ninety")) == 2
    assert alignment.sentence_from(words.index("It")) == 3
    assert alignment.sentence_of(words.index("um")) is None
    assert alignment.heard() == {0, 2, 3}


@pytest.mark.parametrize(
    ("first", "end", "covered"),
    [
        (0, 4, {0: 4}),  # less than half of the sentence, but nothing else
        (5, 12, {0: 4, 1: 3}),  # the end of one, the whole of another
        (8, 12, {1: 3}),  # one word of the sentence before
        (12, 23, {2: 8, 3: 3}),
    ],
)
def test_a_sentence_is_covered_by_half_of_it_or_by_half_of_the_stretch(
    first: int, end: int, covered: dict[int, int]
) -> None:
    alignment, _ = _aligned(" ".join(SCRIPT))
    assert alignment.sentences_in(first, end) == covered


def test_a_sentence_whose_first_word_was_not_heard_has_no_start() -> None:
    alignment, words = _aligned(
        "Lord Kelvin described the idea. percent of all goods. It is short."
    )
    assert alignment.sentence_of(words.index("percent")) == 2
    assert alignment.sentence_from(words.index("percent")) is None
