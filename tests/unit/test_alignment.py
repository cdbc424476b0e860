"""Alignment: a quote is found in the transcript's own words, or it has no place at all."""

from __future__ import annotations

import pytest

from stope.mining.alignment import FUZZY_MIN, TranscriptIndex
from stope.models.claim import Alignment, Evidence
from stope.models.transcript import Transcript
from tests.builders import transcript_of

TALK = transcript_of(
    ("ANN", "Good evening. Why do bees matter?"),
    ("BOB", "Bees pollinate a third of our crops, and 60% of the well-known ones."),
    ("BOB", "When a farmer sprays in May, they lose their way home — always."),
    ("ANN", "Café owners don't mind."),
)


def align(quote: str, transcript: Transcript = TALK) -> Evidence:
    """Where a quote stands in a whole transcript, with everything that must hold wherever it is."""
    evidence = TranscriptIndex(transcript).align(quote, 0, len(transcript.words))
    if evidence.alignment is Alignment.UNGROUNDED:
        assert evidence == Evidence(quote=quote, alignment=Alignment.UNGROUNDED, score=0)
        return evidence
    assert evidence.first_word is not None
    assert evidence.end_word is not None
    words = transcript.words[evidence.first_word : evidence.end_word]
    assert evidence.quote == transcript.text[evidence.char_start : evidence.char_end]
    assert evidence.quote.split() == [word.text for word in words]
    assert (evidence.start, evidence.end) == (words[0].start, words[-1].end)
    assert evidence.speaker == transcript.word_speakers[evidence.first_word]
    return evidence


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("Bees pollinate a third of our crops", "Bees pollinate a third of our crops,"),
        ("bees POLLINATE a third", "Bees pollinate a third"),
        ("“Bees… pollinate; a third”", "Bees pollinate a third"),
        ("when a farmer sprays\n  in may they lose", "When a farmer sprays in May, they lose"),
        ("crops and 60% of the well known ones.", "crops, and 60% of the well-known ones."),
        ("their way home, always", "their way home — always."),
        ("CAFE\u0301 OWNERS DON\u2019T MIND", "Café owners don't mind."),
        ("well-known ones", "well-known ones."),
        ("matter? Bees pollinate", "matter?\nBees pollinate"),
    ],
)
def test_case_punctuation_and_line_breaks_do_not_matter(quote: str, source: str) -> None:
    evidence = align(quote)
    assert (evidence.alignment, evidence.score) == (Alignment.EXACT, 100)
    assert evidence.quote == source


@pytest.mark.parametrize(
    ("quote", "source"),
    [
        ("Bees pollinate one third of our crops", "Bees pollinate a third of our crops,"),
        ("A farmer sprays in May, and they lose", "a farmer sprays in May, they lose"),
        ("they loose there way home", "they lose their way home"),
    ],
)
def test_a_quote_in_nearly_the_same_words_is_fuzzy_with_its_score(quote: str, source: str) -> None:
    evidence = align(quote)
    assert evidence.alignment is Alignment.FUZZY
    assert FUZZY_MIN <= evidence.score < 100
    assert evidence.quote == source


def test_the_likest_stretch_is_taken_not_the_first_one() -> None:
    talk = transcript_of("the red bees sleep in winter and the dead bees sleep in winter")
    evidence = align("the deaf bees sleep in winter", talk)
    assert evidence.quote == "the dead bees sleep in winter"


@pytest.mark.parametrize(
    "quote",
    [
        "Wasps build their nests from paper",
        "crops our of third a pollinate bees",
        "Bees pollinate nothing at all, said the farmer",
    ],
)
def test_words_nobody_said_have_no_place(quote: str) -> None:
    assert align(quote).alignment is Alignment.UNGROUNDED


@pytest.mark.parametrize("quote", ["Bees", "crops,", "60%", "", "—", "?!"])
def test_a_quote_of_less_than_two_words_has_no_place(quote: str) -> None:
    assert align(quote).alignment is Alignment.UNGROUNDED


def test_a_quote_is_only_looked_for_among_the_words_of_its_segment() -> None:
    talk = transcript_of("They lose their way.", "Nothing here at all.", "They lose their way.")
    index = TranscriptIndex(talk)
    assert index.align("they lose their way", 0, 12).first_word == 0
    assert index.align("they lose their way", 4, 12).first_word == 8
    assert index.align("they lose their way", 4, 8).alignment is Alignment.UNGROUNDED
    assert index.align("they lose their way", 0, 3).alignment is not Alignment.EXACT


def test_a_word_of_several_tokens_is_quoted_whole() -> None:
    evidence = align("known ones when a farmer")
    assert evidence.quote == "well-known ones. When a farmer"


def test_a_transcript_without_times_gives_evidence_without_times() -> None:
    plain = TALK.model_copy(
        update={
            "words": tuple(
                word.model_copy(update={"start": None, "end": None}) for word in TALK.words
            )
        }
    )
    evidence = align("pollinate a third", plain)
    assert (evidence.alignment, evidence.start, evidence.end) == (Alignment.EXACT, None, None)


def test_an_empty_transcript_grounds_nothing() -> None:
    assert align("any two words", transcript_of()).alignment is Alignment.UNGROUNDED


def test_a_sentence_without_spaces_is_found() -> None:
    talk = transcript_of("蜜蜂为三分之一的作物授粉。", "这很重要。")
    assert align("蜜蜂为三分之一的作物授粉。", talk).alignment is Alignment.EXACT


def mentioned(name: str, transcript: Transcript = TALK) -> list[tuple[str, int | None]]:
    index = TranscriptIndex(transcript)
    found = [(item.quote, item.first_word) for item in index.mentions(name)]
    assert index.count(name) == len(found)
    return found


def test_every_mention_of_a_name_is_found_by_its_whole_words() -> None:
    talk = transcript_of("Ann-Marie met Ann.", "“ANN’S farm,” Anna said to Ann Ann Ann.")  # noqa: RUF001
    assert mentioned("Ann", talk) == [
        ("Ann-Marie", 0), ("Ann.", 2), ("“ANN’S", 3), ("Ann", 8), ("Ann", 9), ("Ann.", 10),  # noqa: RUF001
    ]  # fmt: skip
    assert mentioned("ann ann", talk) == [("Ann Ann", 8)]


def test_a_name_does_not_go_on_beyond_its_sentence_or_its_speaker() -> None:
    talk = transcript_of(
        "I met Anna.", "Weber met Dr.", "Weber.", ("A", "Ask Anna"), ("B", "Weber?")
    )
    assert mentioned("Anna Weber", talk) == []
    assert mentioned("Dr. Weber", talk) == [("Dr. Weber.", 5)]


@pytest.mark.parametrize("name", ["", "—", "Nobody", "Bees pollinate nothing"])
def test_who_is_not_named_has_no_mention(name: str) -> None:
    assert mentioned(name) == []


def test_capitals_tell_names_apart_unless_there_are_none() -> None:
    assert TranscriptIndex(TALK).cased
    assert not TranscriptIndex(transcript_of("so I met laura")).cased
    assert not TranscriptIndex(transcript_of()).cased
