"""Standing alone: only words that join are taken off, and only references ask for context."""

from __future__ import annotations

import pytest

from stope.mining.standalone import needs_context, without_lead


@pytest.mark.parametrize(
    ("said", "bare"),
    [
        ("And bees die.", "Bees die."),
        ("But, um, bees die.", "Bees die."),
        ("So the bees die.", "The bees die."),
        ("Well, bees die.", "Bees die."),
        ("Well - bees die.", "Bees die."),
        ("You know, I mean, bees die.", "Bees die."),
        ("Right… now, bees die.", "Bees die."),
        ("Yeah. Bees die.", "Bees die."),
        ("And iPhone sales fell.", "iPhone sales fell."),
        ("and 40 percent fail.", "40 percent fail."),
        ("bees die.", "Bees die."),
    ],
)
def test_words_that_only_join_are_taken_off(said: str, bare: str) -> None:
    assert without_lead(said) == bare


@pytest.mark.parametrize(
    "said",
    [
        "Well water is full of nitrate.",
        "Well-being matters.",
        "Well insulated homes lose less heat.",
        "Right whales are endangered.",
        "Right-wing parties grew.",
        "Now 40 percent of farms use robots.",
        "So many bees die.",
        "So-called superfoods are useless.",
        "Look at the data.",
        "See how they fall.",
        "Listen to doctors.",
        "Again and again bees die.",
        "You know that farm.",
        "Then prices fell.",
        "Android phones are cheap.",
        "Button cells are dangerous.",
        "Ok.",
        "And so.",
    ],
)
def test_a_word_with_a_meaning_of_its_own_stays(said: str) -> None:
    assert without_lead(said) == said


@pytest.mark.parametrize(
    "said",
    [
        "They die in winter.",
        "And it costs too much.",
        "In my opinion, that grant is too small.",
        "I think that should stop.",
        "The price of this will fall.",
        "The same goes for wasps.",
    ],
)
def test_a_sentence_that_points_elsewhere_needs_context(said: str) -> None:
    assert needs_context(said)


@pytest.mark.parametrize(
    "said",
    [
        "Bees pollinate a third of our crops.",
        "When a farmer sprays in May, bees lose their way.",
        "Heat pumps save energy because of how they work.",
        "",
        "?!",
    ],
)
def test_most_sentences_stand_alone(said: str) -> None:
    assert not needs_context(said)
