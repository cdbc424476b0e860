"""Summaries, merges, splits and names are checked against what was written down beforehand."""

from __future__ import annotations

import pytest

from benchmarks.eval.content import Content, check_content, check_summary, numbers_in
from benchmarks.eval.dialogue import Checks, Fact
from benchmarks.eval.script_alignment import ScriptAlignment
from benchmarks.eval.selection import place_claims
from stope.models.claim import ClaimType, Evidence
from stope.models.entity import Entity, EntityKind
from stope.models.knowledge import JudgedClaim, Summary
from tests.builders import transcript_of
from tests.eval_builders import dialogue_of, evidence_of, judged_of, knowledge_of

FALLS = "Fights fell by fifty percent."
HALF = "Violence is down to half."
BANS = "Ann Lee banned phones, and Bob bought bags."
DIALOGUE = dialogue_of(
    ("ANN", FALLS, ClaimType.FACTUAL),
    ("BOB", BANS, ClaimType.FACTUAL),
    ("ANN", HALF, ClaimType.FACTUAL),
    checks=Checks(
        merge=((FALLS, HALF),),
        apart=((FALLS, BANS),),
        split=(BANS,),
        facts=(
            Fact(fact="Fights fell.", any=(("fights",), ("violence", "half"))),
            Fact(fact="Bags were bought.", any=(("bags", "bought"),)),
        ),
        people=(("Ann Lee", "Ann"), ("Bob",)),
        organisations=(("Green Door",),),
    ),
)
TRANSCRIPT = transcript_of(*((mark.speaker, mark.sentence) for mark in DIALOGUE.marks))


def _said(quote: str) -> Evidence:
    return evidence_of(TRANSCRIPT, quote)


def _check(
    *claims: JudgedClaim, summary: Summary | None = None, entities: tuple[Entity, ...] = ()
) -> Content:
    alignment = ScriptAlignment(
        [mark.sentence for mark in DIALOGUE.marks], [word.text for word in TRANSCRIPT.words]
    )
    knowledge = knowledge_of(*claims, summary=summary, entities=entities)
    return check_content(DIALOGUE, TRANSCRIPT, knowledge, place_claims(knowledge, alignment))


def _person(name: str, *aliases: str) -> Entity:
    return Entity(
        id=f"ent_{len(name):012x}",
        kind=EntityKind.PERSON,
        name=name,
        aliases=aliases,
        mentions=(_said(BANS),),
    )


def test_the_same_said_twice_should_be_one_claim_with_both_places() -> None:
    merged = _check(judged_of(_said(FALLS), _said(HALF)), judged_of(_said(BANS), rank=2))
    assert [pair.right for pair in merged.merges] == [True]
    assert [pair.right for pair in merged.aparts] == [True]
    twice = _check(judged_of(_said(FALLS)), judged_of(_said(HALF), rank=2))
    assert [pair.right for pair in twice.merges] == [False]


def test_a_pair_of_which_one_was_not_selected_says_nothing() -> None:
    content = _check(judged_of(_said(FALLS)))
    assert [pair.right for pair in content.merges] == [None]
    assert [pair.right for pair in content.aparts] == [None]
    assert [item.right for item in content.splits] == [None]


def test_different_claims_in_one_are_noticed() -> None:
    content = _check(judged_of(_said(FALLS), _said(BANS)))
    assert [pair.right for pair in content.aparts] == [False]


def test_two_claims_of_one_sentence_are_a_split() -> None:
    whole = _check(judged_of(_said(BANS)))
    assert [item.right for item in whole.splits] == [False]
    parts = _check(
        judged_of(_said("Ann Lee banned phones,")), judged_of(_said("and Bob bought bags."), rank=2)
    )
    assert [item.right for item in parts.splits] == [True]


def test_a_summary_is_searched_for_facts_and_invented_numbers() -> None:
    good = Summary(
        short="Fights fell by 50%.", long="Ann banned phones; Bob bought bags. Two speak."
    )
    found = check_summary(DIALOGUE, TRANSCRIPT, good)
    assert (found.facts, found.missing, found.invented_numbers) == (2, (), ())
    bad = Summary(short="Violence fell.", long="Bob bought 600 of them in 2019.")
    found = check_summary(DIALOGUE, TRANSCRIPT, bad)
    assert found.missing == ("Fights fell.", "Bags were bought.")
    assert found.invented_numbers == ("2019", "600")
    assert _check().summary is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("eighteen percent, 18% and 18 percent", {"18"}),
        ("in 1852 and in nineteen fifty six", {"1852", "1956"}),
        ("two friends and one idea", set()),
        ("chapter 4", {"4"}),
        ("24,000 boxes for $2.50", {"24000", "2.50"}),
    ],
)
def test_numbers_are_compared_as_digits(text: str, numbers: set[str]) -> None:
    assert numbers_in(text) == numbers


def test_names_may_be_spelled_by_ear() -> None:
    content = _check(entities=(_person("Anne Lee", "Anne"), _person("Charles")))
    people, organisations = content.names
    assert people.missing == ("Bob",)
    assert people.besides == ("Charles",)
    assert organisations.missing == ("Green Door",)
