"""Numbers, names and denials keep statements apart whatever a model says; parts add nothing."""

from __future__ import annotations

import pytest

from stope.flagship.contrast import differ, unsaid
from stope.flagship.numerals import numbers_of
from stope.flagship.splitting import joins_clauses, true_parts


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("eighteen percent of 240 homes", {"18", "240"}),
        ("two hundred and forty homes", {"240"}),
        ("It cost seven thousand five hundred pounds.", {"7500"}),
        ("7,500 pounds and 1.5 million more", {"7500", "1500000"}),
        ("in eighteen fifty two and twenty thirty five", {"1852", "2035"}),
        ("two thousand and five, or nineteen hundred", {"2005", "1900"}),
        ("five hundred million tons by twenty thirty", {"500000000", "2030"}),
        ("nine tenths, a third, half", {"90", "33.3", "50"}),
        ("one of them, the third man", set()),
        ("six and 7, two or three", {"6", "7", "2", "3"}),
    ],
)
def test_a_number_is_its_value_however_it_is_written(text: str, numbers: set[str]) -> None:
    assert numbers_of(text) == numbers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The bill fell by 18 percent.", "The bill fell by twenty percent."),
        ("In Britain, half of homes have one.", "In Norway, half of homes have one."),
        ("The pump works in winter.", "The pump does not work in winter."),
        ("Prices will rise.", "Prices will fall."),
        ("They should do it before lunch.", "They should do it after lunch."),
    ],
    ids=["numbers", "names", "denial", "opposites", "order"],
)
def test_what_differs_in_substance_is_never_the_same(one: str, other: str) -> None:
    assert differ(one, other)
    assert differ(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The bill fell by 18 percent.", "Bills dropped by eighteen percent."),
        ("Ninety percent travels by sea.", "About nine tenths moves by ship."),
        ("Without repairs it closes.", "It closes if nobody mends it."),
        ("Coffee at four keeps you awake.", "Afternoon coffee ruins your sleep."),
    ],
)
def test_paraphrases_may_be_the_same(one: str, other: str) -> None:
    assert not differ(one, other)


def test_numbers_and_names_that_nobody_said_are_found() -> None:
    said = ["Norway put pumps into 240 homes.", "It saved eighteen percent."]
    assert unsaid("In Norway, two hundred and forty homes saved 18%.", said) == []
    assert unsaid("Overall, 30 homes in Paris saved.", said) == ["30", "paris"]


COMPOUND = "Norway is a very cold country, and sixty percent of its buildings have a heat pump."


@pytest.mark.parametrize(
    ("text", "joins"),
    [
        (COMPOUND, True),
        ("A repair costs two million dollars, but a new bridge costs seven million.", True),
        ("In thirty homes the bill went up, because the water was much too hot.", False),
        ("Bees pollinate apples, pears and plums.", False),
        ("We laughed about it, and then went.", False),
    ],
)
def test_only_wordings_that_join_two_full_clauses_are_offered(text: str, joins: bool) -> None:
    assert joins_clauses(text) is joins


@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["Norway is a very cold country."],
        ["Norway is a very cold country.", "Sixty percent of its buildings have solar panels."],
        ["Norway is a very cold country.", "Buildings there have a heat pump."],
        ["Norway is a very cold country.", COMPOUND],
        ["Norway is a very cold country.", "Sixty percent of Sweden's buildings have a heat pump."],
        ["Norway is a very cold country.", "Seventy percent of its buildings have a heat pump."],
    ],
    ids=["none", "one", "other words", "a number lost", "the whole", "another name", "number"],
)
def test_parts_that_say_anything_else_leave_the_claim_whole(parts: list[str]) -> None:
    assert true_parts(COMPOUND, parts) == ()


def test_parts_in_the_claims_own_words_hold() -> None:
    parts = (
        "Norway is a very cold country.",
        "Sixty percent of Norway's buildings have a heat pump.",
    )
    assert true_parts(COMPOUND, parts) == parts


@pytest.mark.parametrize(
    ("text", "parts", "mended"),
    [
        (
            "The bridge is very old indeed, and it carries nine thousand cars.",
            ["The bridge is very old indeed.", "It carries nine thousand cars."],
            "The bridge carries nine thousand cars.",
        ),
        (
            "We bought six hundred small bags, and they were four pounds each.",
            ["We bought six hundred small bags.", "They were four pounds each."],
            None,
        ),
        (COMPOUND, ["Norway is a very cold country.", COMPOUND.split(", and ")[1]], None),
        (
            "Schools should teach how phones work, and parents should put away their own phones.",
            ["Schools should teach how phones work.", "Parents should put away their own phones."],
            "Parents should put away their own phones.",
        ),
    ],
    ids=["the subject", "another subject", "its", "their own"],
)
def test_a_part_points_at_nothing_outside_itself(
    text: str, parts: list[str], mended: str | None
) -> None:
    assert true_parts(text, parts) == ((parts[0], mended) if mended else ())
