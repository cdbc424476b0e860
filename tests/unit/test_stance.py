"""Stance: read from the speaker's own words, the strongest sign first."""

from __future__ import annotations

import pytest

from stope.mining.stance import stance_of
from stope.models.claim import Stance


@pytest.mark.parametrize(
    ("said", "stance"),
    [
        ("Bees pollinate a third of our crops.", Stance.ASSERTED),
        ("Farmers spray in May.", Stance.ASSERTED),
        ("May is the month of swarms.", Stance.ASSERTED),
        ("farmers spray in may and in june", Stance.ASSERTED),
        ("Since last may prices fell.", Stance.ASSERTED),
        ("Mighty rivers rise.", Stance.ASSERTED),
        ("The report is long.", Stance.ASSERTED),
        ("Bees may adapt.", Stance.HEDGED),
        ("In winter bees may starve.", Stance.HEDGED),
        ("I think the grant is too small.", Stance.HEDGED),
        ("It could go faster.", Stance.HEDGED),
        ("According to the agency, heating emits a tenth.", Stance.REPORTED),
        ("Many people believe that pumps fail.", Stance.REPORTED),
        ("Experts say it might rain.", Stance.REPORTED),
        ("That is simply not true.", Stance.DENIED),
        ("There is no evidence that they say so.", Stance.DENIED),
        ("", Stance.ASSERTED),
    ],
)
def test_a_sentence_says_how_it_is_held(said: str, stance: Stance) -> None:
    assert stance_of(said) is stance
