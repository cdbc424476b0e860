"""Doubt is found where it is, by its measures, and nowhere in ordinary speech."""

from __future__ import annotations

import numpy as np
import pytest

from stope.audio.activity import Probabilities
from stope.audio.decode import Audio
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, Flag, FlagKind, Word
from stope.speech.quality import find_flags
from stope.speech.repetition import Loop, compression_ratio, find_loops
from stope.speech.score import score
from stope.speech.sound import FRAME_SECONDS, Sound
from stope.speech.stock import is_credit, is_stock_phrase

SENTENCE = (
    "Norway is a very cold country and about sixty percent of its buildings have a heat pump. "
    "Last winter my brother put one into his old house by the sea."
)
COUNT = len(SENTENCE.split())


class Heard(Sound):
    """A chunk of even noise in which speech is where the test says."""

    def __init__(self, seconds: float, *speech: tuple[float, float]) -> None:
        super().__init__(steady(seconds))
        self.looked = 0
        self._speech = speech or ((0.0, seconds),)

    @property
    def probabilities(self) -> Probabilities:
        self.looked += 1
        frames = np.zeros(self.levels.size, np.float32)
        for start, end in self._speech:
            frames[int(start / FRAME_SECONDS) : int(end / FRAME_SECONDS)] = 0.9
        return frames


def steady(seconds: float) -> Audio:
    dice = np.random.default_rng(1)
    return dice.uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def answer(
    text: str, start: float, end: float, *, probability: float | None = 0.9
) -> ChunkTranscript:
    """Words evenly between two times."""
    texts = text.split()
    pace = (end - start) / max(1, len(texts))
    words = tuple(
        Word(
            text=word,
            start=start + index * pace,
            end=start + (index + 1) * pace,
            probability=probability,
        )
        for index, word in enumerate(texts)
    )
    return ChunkTranscript(language="en", utterances=(words,) if words else (), engine_seconds=1)


def kinds(flags: tuple[Flag, ...]) -> list[FlagKind]:
    return [flag.kind for flag in flags]


def test_ordinary_speech_has_no_flag_and_its_speech_is_not_even_computed() -> None:
    sound = Heard(10)
    assert find_flags(answer(SENTENCE, 0.3, 9.5), sound) == ()
    assert sound.looked == 0


@pytest.mark.parametrize(
    ("words", "loops"),
    [
        ("I do not know I do not know I do not know I do not know", [Loop(0, 16, 4)]),
        ("so he said no no no no and left", []),
        ("no no no no no no no no", [Loop(0, 8, 1)]),
        ("a b a b a b", []),
        ("x and so a b a b a b a b a y", [Loop(3, 12, 2)]),
        ("", []),
    ],
)
def test_a_loop_is_a_phrase_four_times_over_eight_words(words: str, loops: list[Loop]) -> None:
    assert find_loops(words.split()) == loops


def test_a_loop_is_flagged_from_its_second_time_on() -> None:
    text = "He left the house. " + "I do not know, " * 5
    [flag] = find_flags(answer(text, 0, 10), Heard(10))
    assert (flag.kind, flag.first_word, flag.end_word) == (FlagKind.LOOP, 8, 24)
    assert flag.start == pytest.approx(10 * 8 / 24, abs=0.01)
    assert flag.end == 10
    assert "“I do not know,” stands here 5 times" in flag.note


def test_text_that_shrinks_too_much_is_a_loop_even_if_no_phrase_is_exactly_repeated() -> None:
    text = " ".join(f"and the number {number} of the list of numbers" for number in range(9))
    assert compression_ratio(text) > 2.4
    assert compression_ratio(SENTENCE) < 2
    assert kinds(find_flags(answer(text, 0, 25), Heard(25))) == [FlagKind.LOOP]


@pytest.mark.parametrize(
    ("text", "stock"),
    [
        ("Thank you.", True),
        ("Thanks for watching!", True),
        ("Vielen Dank.", True),
        ("Thank you for the pump.", False),
    ],
)
def test_stock_phrases_are_whole_sentences(text: str, stock: bool) -> None:
    assert is_stock_phrase(text) is stock


@pytest.mark.parametrize(
    ("text", "credit"),
    [
        ("Subtitles by the Amara.org community", True),
        ("Transcribed by https://otter.ai", True),
        ("Untertitel im Auftrag des ZDF, 2020", True),
        ("The subtitles were late by a minute.", False),
    ],
)
def test_credits_of_subtitlers_are_known(text: str, credit: bool) -> None:
    assert is_credit(text) is credit


def test_a_stock_phrase_over_silence_is_flagged_and_one_that_is_said_is_not() -> None:
    said = answer("Thank you.", 8.0, 8.8)
    text = answer(SENTENCE, 0.3, 7.5)
    both = text.model_copy(update={"utterances": (*text.utterances, *said.utterances)})
    assert find_flags(both, Heard(10, (0, 9.2))) == ()
    [flag] = find_flags(both, Heard(10, (0, 7.5)))
    assert (flag.kind, flag.start, flag.end) == (FlagKind.STOCK_PHRASE, 8.0, 8.8)
    assert (flag.first_word, flag.end_word) == (COUNT, COUNT + 2)


def test_a_stock_phrase_that_its_recognizer_does_not_believe_is_flagged_over_speech() -> None:
    flags = find_flags(answer("Thank you.", 0, 1, probability=0.1), Heard(3, (0, 2)))
    assert kinds(flags) == [FlagKind.STOCK_PHRASE]


def test_a_credit_is_flagged_even_over_speech() -> None:
    flags = find_flags(answer("Subtitles by the Amara.org community", 0, 3), Heard(3))
    assert kinds(flags) == [FlagKind.STOCK_PHRASE]


def test_words_that_nobody_says_so_fast_are_text_without_speech() -> None:
    [flag] = find_flags(answer(SENTENCE, 0, 3), Heard(3))
    assert (flag.kind, flag.first_word, flag.end_word) == (FlagKind.TEXT_WITHOUT_SPEECH, 0, COUNT)
    assert f"{COUNT} words stand over 3.0 s of speech" in flag.note


def test_letters_of_unspaced_scripts_are_not_counted_as_whole_words() -> None:
    chinese = " ".join("我们今天谈谈热泵的问题它比燃气锅炉好得多")
    assert find_flags(answer(chinese, 0, 2), Heard(2)) == ()


def test_words_where_no_speech_is_are_flagged_alone() -> None:
    before = answer("Heat pumps move heat out of cold air.", 0, 3)
    after = answer("We know that they all did.", 6, 8)
    both = before.model_copy(update={"utterances": (*before.utterances, *after.utterances)})
    sound = Heard(10, (0, 3.2))
    sound._audio[6 * SAMPLE_RATE :] /= 1000
    [flag] = find_flags(both, sound)
    assert (flag.kind, flag.start, flag.end) == (FlagKind.TEXT_WITHOUT_SPEECH, 6, 8)


def test_speech_beside_or_between_words_has_no_text() -> None:
    words = answer("Heat pumps move heat.", 6, 8)
    flags = find_flags(words, Heard(14))
    assert [(flag.kind, flag.start, flag.end) for flag in flags] == [
        (FlagKind.SPEECH_WITHOUT_TEXT, 0, 6),
        (FlagKind.SPEECH_WITHOUT_TEXT, 8, 14),
    ]
    assert find_flags(words, Heard(14, (5.5, 8.5))) == ()


def test_an_empty_answer_is_right_over_silence_and_wrong_over_speech() -> None:
    empty = answer("", 0, 0)
    assert find_flags(empty, Heard(10, (0, 0.5))) == ()
    [flag] = find_flags(empty, Heard(10, (0, 6)))
    assert (flag.kind, flag.first_word) == (FlagKind.SPEECH_WITHOUT_TEXT, None)


def test_too_few_words_for_the_speech_are_flagged() -> None:
    [flag] = find_flags(answer("one two three four", 0, 12), Heard(12))
    assert flag.kind is FlagKind.SPEECH_WITHOUT_TEXT
    assert "12 s of speech here have only 4 words" in flag.note


def test_low_probabilities_are_flagged_over_the_chunk_or_a_run_of_words() -> None:
    [whole] = find_flags(answer(SENTENCE, 0, 10, probability=0.3), Heard(10))
    assert (whole.kind, whole.first_word, whole.end_word) == (FlagKind.LOW_CONFIDENCE, 0, COUNT)
    good = answer(SENTENCE, 0, 10)
    words = [
        word.model_copy(update={"probability": 0.2}) if 10 <= index < 17 else word
        for index, word in enumerate(good.utterances[0])
    ]
    run = good.model_copy(update={"utterances": (tuple(words),)})
    [part] = find_flags(run, Heard(10))
    assert part.kind is FlagKind.LOW_CONFIDENCE
    assert part.first_word is not None
    assert part.end_word is not None
    assert 8 <= part.first_word <= 10 < 17 <= part.end_word <= 19


def test_an_answer_without_probabilities_is_not_held_against_its_engine() -> None:
    assert find_flags(answer(SENTENCE, 0.3, 9.5, probability=None), Heard(10)) == ()


def test_what_the_engine_flagged_is_kept() -> None:
    flag = Flag(kind=FlagKind.LOW_CONFIDENCE, start=1, end=3, first_word=2, end_word=9)
    marked = answer(SENTENCE, 0, 10).model_copy(update={"flags": (flag,)})
    assert find_flags(marked, Heard(10)) == (flag,)


def test_the_score_prefers_clean_sure_and_complete_answers() -> None:
    sound = Heard(10)

    def scored(found: ChunkTranscript) -> float:
        return score(found, find_flags(found, sound), sound)

    clean = scored(answer(SENTENCE, 0, 10))
    unsure = scored(answer(SENTENCE, 0, 10, probability=0.5))
    half = scored(answer(SENTENCE, 0, 4.5))
    empty = scored(answer("", 0, 0))
    assert 0 > clean > unsure > half > empty
    silence = Heard(10, (0, 0.1))
    assert score(answer("", 0, 0), (), silence) == 0
