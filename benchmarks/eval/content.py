"""Content: summaries, merges, splits and names, against what was written down beforehand."""

from __future__ import annotations

import re

from rapidfuzz import fuzz

from benchmarks.eval.dialogue import Dialogue
from benchmarks.eval.selection import PlacedClaim
from benchmarks.eval.speech import normal
from stope.models.entity import Entity, EntityKind
from stope.models.frozen import Frozen
from stope.models.knowledge import Knowledge, Summary
from stope.models.transcript import Transcript

SAME_NAME = 80
"""The fuzzy ratio from which two spellings are one name: speech recognition spells by ear."""


class SummaryCheck(Frozen):
    """What the summary leaves out, and the numbers in it that nobody said."""

    facts: int
    missing: tuple[str, ...]
    invented_numbers: tuple[str, ...]
    short: str
    long: str


class PairCheck(Frozen):
    """Two sentences and what became of them; ``right`` is None when not both were selected."""

    first: str
    second: str
    right: bool | None


class SplitCheck(Frozen):
    """A sentence that claims two things; ``right`` is None when it was not selected."""

    sentence: str
    right: bool | None


class NamesCheck(Frozen):
    """Names of one kind that were expected, not found, and found besides."""

    kind: EntityKind
    expected: int
    missing: tuple[str, ...]
    besides: tuple[str, ...]


class Content(Frozen):
    """All checks of one dialogue; no ``summary`` where the run made none."""

    summary: SummaryCheck | None
    merges: tuple[PairCheck, ...]
    aparts: tuple[PairCheck, ...]
    splits: tuple[SplitCheck, ...]
    names: tuple[NamesCheck, ...]


def check_content(
    dialogue: Dialogue,
    transcript: Transcript,
    knowledge: Knowledge,
    placed: tuple[PlacedClaim, ...],
) -> Content:
    """Check the knowledge beyond its selection of claims."""
    accepted = [set(item.sentences) for item in placed if item.accepted]
    checks, place = dialogue.checks, dialogue.place
    together = {
        pair: _together(accepted, place(pair[0]), place(pair[1]))
        for pair in (*checks.merge, *checks.apart)
    }
    summary = knowledge.summary
    return Content(
        summary=check_summary(dialogue, transcript, summary) if summary is not None else None,
        merges=tuple(
            PairCheck(first=pair[0], second=pair[1], right=together[pair]) for pair in checks.merge
        ),
        aparts=tuple(
            PairCheck(first=pair[0], second=pair[1], right=None if found is None else not found)
            for pair in checks.apart
            for found in [together[pair]]
        ),
        splits=tuple(
            SplitCheck(sentence=sentence, right=_split(accepted, place(sentence)))
            for sentence in checks.split
        ),
        names=(
            _names(EntityKind.PERSON, checks.people, knowledge.entities),
            _names(EntityKind.ORGANISATION, checks.organisations, knowledge.entities),
        ),
    )


def check_summary(dialogue: Dialogue, transcript: Transcript, summary: Summary) -> SummaryCheck:
    """Look for the facts in a summary, and for its numbers in the transcript."""
    text = f"{summary.short} {summary.long}"
    raw = text.lower()
    forms = f"{raw} {normal(text)}"
    return SummaryCheck(
        facts=len(dialogue.checks.facts),
        missing=tuple(
            fact.fact
            for fact in dialogue.checks.facts
            if not any(all(word in forms for word in group) for group in fact.any)
        ),
        invented_numbers=tuple(sorted(numbers_in(text) - _all_numbers(transcript.text))),
        short=summary.short,
        long=summary.long,
    )


def numbers_in(text: str) -> set[str]:
    """The numbers of a text as digits, without those below ten in words: they count, not state."""
    digits = {_digits(token) for token in re.findall(r"\d[\d.,]*", text)}
    return {number for number in _all_numbers(text) if len(_digits(number)) > 1 or number in digits}


def _all_numbers(text: str) -> set[str]:
    tokens = " ".join(normal(part) for part in re.split(r"(?<=[.?!])\s+", text)).split()
    return {_digits(token) for token in tokens if any(letter.isdigit() for letter in token)}


def _digits(token: str) -> str:
    return re.sub(r"[^\d.]", "", token).strip(".")


def _together(accepted: list[set[int]], first: int, second: int) -> bool | None:
    """Whether one accepted claim has both sentences; None when not both have a claim."""
    of_first = [found for found in accepted if first in found]
    of_second = [found for found in accepted if second in found]
    if not of_first or not of_second:
        return None
    return any(second in found for found in of_first)


def _split(accepted: list[set[int]], sentence: int) -> bool | None:
    claims = sum(sentence in found for found in accepted)
    return claims > 1 if claims else None


def _names(
    kind: EntityKind, expected: tuple[tuple[str, ...], ...], entities: tuple[Entity, ...]
) -> NamesCheck:
    found = {
        entity.name: (entity.name, *entity.aliases) for entity in entities if entity.kind is kind
    }
    return NamesCheck(
        kind=kind,
        expected=len(expected),
        missing=tuple(
            forms[0]
            for forms in expected
            if not any(_same(forms, names) for names in found.values())
        ),
        besides=tuple(
            name
            for name, names in found.items()
            if not any(_same(forms, names) for forms in expected)
        ),
    )


def _same(forms: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return any(
        fuzz.ratio(form.lower(), name.lower()) >= SAME_NAME for form in forms for name in names
    )
