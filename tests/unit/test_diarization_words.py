"""Words go to the turn they overlap; changes settle at sentence ends; strays are nobody's turn."""

from __future__ import annotations

import pytest

from stope.models.diarization import Diarization, Turn
from stope.models.transcript import Transcript, Word
from stope.speakers.attribution import with_speakers, word_speakers
from stope.utterances import cut_utterances


def spoken(text: str, pace: float = 0.4, start: float = 0.0) -> list[Word]:
    """Words one after the other, each as long as ``pace``; ``_`` is a pause of that length."""
    return [
        Word(
            text=word,
            start=round(start + index * pace, 3),
            end=round(start + (index + 1) * pace, 3),
        )
        for index, word in enumerate(text.split())
        if word != "_"
    ]


def turn(speaker: str, start: float, end: float) -> Turn:
    return Turn(speaker=speaker, start=start, end=end)


def said(words: list[Word], *turns: Turn) -> str:
    """The speakers' numbers, one for each word."""
    return "".join(name[1:] for name in word_speakers(words, turns))


def test_a_word_belongs_to_the_turn_it_overlaps_most() -> None:
    words = spoken("one two three four")
    assert said(words, turn("S1", 0, 0.75), turn("S2", 0.75, 1.6)) == "1122"


def test_a_word_between_turns_belongs_to_the_nearest() -> None:
    words = [Word(text="late", start=3.0, end=3.2), Word(text="early", start=9.0, end=9.2)]
    assert said(words, turn("S1", 0, 2.8), turn("S2", 9.5, 12)) == "12"


def test_a_sentence_end_close_by_attracts_the_change() -> None:
    words = spoken("we came home late. yes we did")
    # The turns change one word too early, then one too late.
    assert said(words, turn("S1", 0, 1.2), turn("S2", 1.2, 2.8)) == "1111222"
    assert said(words, turn("S1", 0, 2.0), turn("S2", 2.0, 2.8)) == "1111222"


def test_a_sentence_end_far_off_does_not() -> None:
    words = spoken("so. we came home late you mean")
    assert said(words, turn("S1", 0, 2.0), turn("S2", 2.0, 2.8)) == "1111122"


def test_a_pause_attracts_the_change() -> None:
    words = spoken("and then _ but why", pace=0.6)
    assert said(words, turn("S1", 0, 2.2), turn("S2", 2.2, 3.0)) == "1122"


def test_a_stray_word_in_the_middle_of_a_sentence_is_smoothed() -> None:
    words = spoken("the bees need water by spring.", pace=0.3)
    turns = (turn("S1", 0, 0.6), turn("S2", 0.6, 0.9), turn("S1", 0.9, 1.8))
    assert said(words, *turns) == "111111"


def test_a_short_answer_of_its_own_stays() -> None:
    words = spoken("is it true? yes. then why")
    turns = (turn("S1", 0, 1.2), turn("S2", 1.2, 1.6), turn("S1", 1.6, 2.4))
    assert said(words, *turns) == "111211"


def test_a_real_turn_of_one_long_word_stays() -> None:
    words = spoken("well I think absolutely so it is", pace=0.9)
    turns = (turn("S1", 0, 2.7), turn("S2", 2.7, 3.6), turn("S1", 3.6, 6.3))
    assert said(words, *turns) == "1112111"


def test_overlapping_turns_share_the_words_by_their_overlap() -> None:
    words = spoken("one two three four")
    assert said(words, turn("S1", 0, 1.0), turn("S2", 0.7, 1.6)) == "1122"


def test_a_word_without_a_time_follows_the_one_before() -> None:
    words = [*spoken("one two"), Word(text="three"), *spoken("four", start=5.0)]
    assert said(words, turn("S1", 0, 1), turn("S2", 4.9, 6)) == "1112"


def test_utterances_break_where_the_speaker_changes() -> None:
    words = spoken("we came home and then what")
    found = cut_utterances(words, ["S1", "S1", "S1", "S2", "S2", "S2"])
    assert [(item.first_word, item.end_word, item.speaker) for item in found] == [
        (0, 3, "S1"),
        (3, 6, "S2"),
    ]


def test_the_text_has_a_line_for_every_turn() -> None:
    words = spoken("is it true? yes. it is.")
    transcript = Transcript(
        language="en", words=tuple(words), utterances=tuple(cut_utterances(words))
    )
    turns = (turn("S1", 0, 1.2), turn("S2", 1.2, 2.4))
    # The stage shows the plain text first; nothing of it may stay behind.
    assert (transcript.text, set(transcript.word_speakers)) == ("is it true? yes. it is.", {None})
    found = with_speakers(transcript, Diarization(engine="x", speakers=2, turns=turns))
    assert found.text == "is it true?\nyes. it is."
    assert found.words == transcript.words
    assert found.word_speakers == ("S1", "S1", "S1", "S2", "S2", "S2")


@pytest.mark.parametrize("words", [[], spoken("one two")], ids=["no words", "no turns"])
def test_nothing_to_go_by_changes_nothing(words: list[Word]) -> None:
    transcript = Transcript(
        language="en", words=tuple(words), utterances=tuple(cut_utterances(words))
    )
    turns = (turn("S1", 0, 1),) if not words else ()
    assert with_speakers(transcript, Diarization(engine="x", speakers=0, turns=turns)) == transcript
