"""Stance: how a speaker holds a claim, read from the words that say so."""

from __future__ import annotations

import re

from stope.models.claim import Stance

_REPORTED = re.compile(
    r"\b(?:according to|reports? (?:that|say)|(?:people|experts|scientists|doctors|critics|they|"
    r"he|she|it is|some|many|others|studies) (?:say|says|said|believe|believes|claim|claims|argue|"
    r"argues|think|thinks|suggest|suggests|report|reported|told)|is said to|are said to)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:is|are|was|were) (?:simply |just |plainly )?(?:not true|false|wrong|a myth|nonsense)\b|"
    r"\bthere is no (?:evidence|proof)\b|\bno evidence\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|likely|unlikely|might|could|seems?|appears?|"
    r"i think|i guess|i suppose|i suspect|i expect|i believe|in my opinion|roughly speaking)\b|"
    # Not the month, with its capital or without.
    r"(?<!\bin )(?<!\bof )(?<!\bby )(?<!\blast )(?<!\bnext )(?<!\bsince )(?<!\buntil )"
    r"(?<!\bearly )(?<!\blate )\b(?-i:may)\b",
    re.IGNORECASE,
)


def stance_of(text: str) -> Stance:
    """The stance of a sentence: denied, else reported, else hedged, else asserted."""
    if _DENIED.search(text):
        return Stance.DENIED
    if _REPORTED.search(text):
        return Stance.REPORTED
    return Stance.HEDGED if _HEDGED.search(text) else Stance.ASSERTED
