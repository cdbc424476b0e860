"""Sentences: one speaker's, whole over pauses and abbreviations, every word in exactly one."""

from __future__ import annotations

import random

import pytest

from stope.mining.sentences import JOIN_PAUSE, MAX_WORDS, sentences_of
from stope.models.transcript import Transcript, Word
from stope.utterances import cut_utterances
from tests.builders import transcript_of

TOKENS = (
    "bees", "die", "Bees", "No.", "Dr.", "U.S.", "I.", "W.", "5", "5.", "what?", "why?!", "…",
    "end.", "end.”", "(yes)", "—", "3.5", "蜜蜂死了。", "はい", "S1:", "🎙", "a.b.c", "'Dr.",
)  # fmt: skip


def texts(*utterances: str | tuple[str, str]) -> list[str]:
    return [sentence.text for sentence in sentences_of(transcript_of(*utterances))]


def spoken(
    *words: tuple[str, float, float], speakers: list[str | None] | None = None
) -> Transcript:
    """A transcript of words with their times, cut into utterances as ASR output is."""
    said = tuple(Word(text=text, start=start, end=end) for text, start, end in words)
    return Transcript(language="en", words=said, utterances=tuple(cut_utterances(said, speakers)))


def random_transcript(seed: int) -> Transcript:
    """Words with pauses and without times, said by up to three speakers."""
    chance = random.Random(seed)  # noqa: S311  (a test's dice)
    words, speakers, now = [], [], 0.0
    speaker: str | None = None
    for _ in range(chance.randint(1, 400)):
        if chance.random() < 0.05:
            speaker = chance.choice([None, "S1", "ANN"])
        now += chance.choice([0.0, 0.0, 0.0, 0.3, 1.2, 3.0])
        timed = chance.random() < 0.9
        text = chance.choice(TOKENS if seed % 3 else ("bees", "die", "often"))
        words.append(
            Word(text=text, start=now if timed else None, end=now + 0.3 if timed else None)
        )
        speakers.append(speaker)
        now += 0.3
    return Transcript(
        language="en", words=tuple(words), utterances=tuple(cut_utterances(words, speakers))
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_word_stands_in_one_sentence_of_its_speaker(seed: int) -> None:
    transcript = random_transcript(seed)
    sentences = sentences_of(transcript)
    ends = [0, *(sentence.end_word for sentence in sentences)]
    assert [sentence.first_word for sentence in sentences] == ends[:-1]
    assert ends[-1] == len(transcript.words)
    for sentence in sentences:
        place = slice(sentence.first_word, sentence.end_word)
        words = transcript.words[place]
        assert 1 <= len(words) <= MAX_WORDS
        assert sentence.text == " ".join(word.text for word in words)
        assert set(transcript.word_speakers[place]) == {sentence.speaker}
        spans = transcript.word_spans[place]
        assert transcript.text[spans[0].start : spans[-1].end] == sentence.text


def test_a_pause_within_a_sentence_does_not_end_it() -> None:
    transcript = spoken(("Bees", 0, 1), ("die", 2.5, 3), ("here.", 4.9, 5), ("Why?", 5.1, 6))
    assert len(transcript.utterances) == 4
    assert [sentence.text for sentence in sentences_of(transcript)] == ["Bees die here.", "Why?"]


def test_after_a_long_pause_the_rest_is_a_sentence_of_its_own() -> None:
    transcript = spoken(("Bees", 0, 1), ("die", 1 + JOIN_PAUSE, 4), ("here.", 4, 5))
    assert [sentence.text for sentence in sentences_of(transcript)] == ["Bees", "die here."]


def test_a_change_of_speaker_ends_a_sentence() -> None:
    transcript = spoken(
        ("Bees", 0, 1), ("are", 1, 2), ("insects.", 2, 3), speakers=["S1", "S1", "S2"]
    )
    found = [(sentence.speaker, sentence.text) for sentence in sentences_of(transcript)]
    assert found == [("S1", "Bees are"), ("S2", "insects.")]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Weber met Mrs. Hall.",
        "In the U.S. Senate they voted.",
        "Harry S. Truman was “Prof. Hall” to them.",
        "See No. 5 of them.",
        "Some insects, e.g. bees, sting.",
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(sentence: str) -> None:
    words = [(text, float(place), place + 0.9) for place, text in enumerate(sentence.split())]
    assert [found.text for found in sentences_of(spoken(*words))] == [sentence]


def test_the_answer_no_is_a_sentence_and_so_is_what_follows() -> None:
    assert texts("No.", "Bees die in winter.") == ["No.", "Bees die in winter."]
    assert texts("So am I.", "Bees die.") == ["So am I.", "Bees die."]


def test_without_punctuation_utterances_are_sentences_of_bounded_length() -> None:
    assert texts("bees die") == ["bees die"]
    found = texts(" ".join(["word"] * 200))
    assert sum(len(text.split()) for text in found) == 200
    assert max(len(text.split()) for text in found) <= MAX_WORDS


def test_chinese_and_japanese_stops_end_sentences() -> None:
    assert texts("蜜蜂死了。", "为什么？", "はい。") == [  # noqa: RUF001  (Chinese)
        "蜜蜂死了。",
        "为什么？",  # noqa: RUF001
        "はい。",
    ]


def test_a_single_word_is_a_sentence_and_nothing_is_none() -> None:
    assert texts("Yes.") == ["Yes."]
    assert texts() == []
