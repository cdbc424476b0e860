"""Claim selection: which sentences of the script the accepted claims rest on.

The unit is the script's sentence, on both sides. A sentence is selected when the evidence of an
accepted claim covers it (see ``ScriptAlignment.sentences_in``). So two claims made of one sentence
count once, a claim merged from several keeps all their sentences, a claim whose evidence runs over
two marked sentences finds both, and one whose evidence also takes in a sentence that claims
nothing pays for it. An accepted claim without any sentence is a false positive by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.eval.dialogue import Dialogue
from benchmarks.eval.script_alignment import ScriptAlignment
from stope.models.claim import Claim, ClaimType, Evidence
from stope.models.frozen import Frozen
from stope.models.knowledge import JudgedClaim, Knowledge
from stope.models.transcript import Transcript
from stope.models.verdict import Decision

RULE_WORDS = 9
NOWHERE = "nowhere in the script"
_AFTER_STOP = "\"')\u201d\u2019"


class Counts(Frozen):
    """Sentences rightly selected, wrongly selected, and missed."""

    found: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            found=self.found + other.found,
            wrong=self.wrong + other.wrong,
            missed=self.missed + other.missed,
        )

    @property
    def precision(self) -> float:
        """In [0, 1]; 0 when nothing was selected."""
        return self.found / max(1, self.found + self.wrong)

    @property
    def recall(self) -> float:
        """In [0, 1]; 0 when there was nothing to find."""
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.found / max(1, 2 * self.found + self.wrong + self.missed)


class FalsePositive(Frozen):
    """A sentence that claims nothing and was selected; ``kind`` is its ``why_not``."""

    kind: str
    sentence: str
    claims: tuple[str, ...]


class FalseNegative(Frozen):
    """A marked sentence that was not selected, and what became of it."""

    type: ClaimType
    sentence: str
    fate: str


class WrongType(Frozen):
    """A rightly selected sentence whose claim has another type than was marked."""

    sentence: str
    marked: ClaimType
    given: ClaimType


class Selection(Frozen):
    """How well claims were selected in one dialogue. ``rule`` are the counts of the plain rule."""

    counts: Counts
    mined: Counts
    rule: Counts
    types_right: int
    false_positives: tuple[FalsePositive, ...]
    false_negatives: tuple[FalseNegative, ...]
    wrong_types: tuple[WrongType, ...]


@dataclass(frozen=True)
class PlacedClaim:
    """A claim and the sentences its evidence covers, with how many of their words."""

    judged: JudgedClaim
    sentences: dict[int, int]

    @property
    def accepted(self) -> bool:
        """Whether it stands in the result."""
        return self.judged.verdict.decision is Decision.ACCEPT


def place_claims(knowledge: Knowledge, alignment: ScriptAlignment) -> tuple[PlacedClaim, ...]:
    """Every claim, whatever was decided on it, laid on the script."""
    return tuple(
        PlacedClaim(judged, _sentences_of(judged.claim, alignment)) for judged in knowledge.claims
    )


def placed_evidence(claim: Claim) -> Iterator[tuple[Evidence, int, int]]:
    """The evidence that has a place in the transcript, with its words ``[first, end)``."""
    for item in claim.evidence:
        if item.first_word is not None and item.end_word is not None:
            yield item, item.first_word, item.end_word


def score_selection(
    dialogue: Dialogue,
    transcript: Transcript,
    alignment: ScriptAlignment,
    placed: tuple[PlacedClaim, ...],
) -> Selection:
    """Compare what was accepted with what was marked."""
    marked = {n for n, mark in enumerate(dialogue.marks) if mark.claim}
    accepted = [item for item in placed if item.accepted]
    selected = {n for item in accepted for n in item.sentences}
    mined = {n for item in placed for n in item.sentences}
    nowhere = [item for item in accepted if not item.sentences]
    types = {n: _type_of(n, accepted) for n in selected & marked}
    wrong = [n for n in sorted(types) if types[n] is not dialogue.marks[n].type]
    return Selection(
        counts=_counts(marked, selected, len(nowhere)),
        mined=_counts(marked, mined, sum(not item.sentences for item in placed)),
        rule=_counts(marked, rule_selection(transcript, alignment)),
        types_right=len(types) - len(wrong),
        false_positives=(
            *(
                FalsePositive(
                    kind=dialogue.marks[n].why_not or "",
                    sentence=dialogue.marks[n].sentence,
                    claims=tuple(_text(item) for item in accepted if n in item.sentences),
                )
                for n in sorted(selected - marked)
            ),
            *(FalsePositive(kind=NOWHERE, sentence="", claims=(_text(item),)) for item in nowhere),
        ),
        false_negatives=tuple(
            FalseNegative(
                type=_marked_type(dialogue, n),
                sentence=dialogue.marks[n].sentence,
                fate=_fate(n, placed, alignment),
            )
            for n in sorted(marked - selected)
        ),
        wrong_types=tuple(
            WrongType(
                sentence=dialogue.marks[n].sentence,
                marked=_marked_type(dialogue, n),
                given=types[n],
            )
            for n in wrong
        ),
    )


def rule_selection(transcript: Transcript, alignment: ScriptAlignment) -> set[int]:
    """The sentences which the rule "not a question, nine words or more" selects.

    It is applied to the transcript's own sentences: they end with a full stop, a question or
    exclamation mark, or where the speaker changes.
    """
    selected: set[int] = set()
    words, speakers = transcript.words, transcript.word_speakers
    first = 0
    for end in range(1, len(words) + 1):
        last = words[end - 1].text.rstrip(_AFTER_STOP)
        changes = end == len(words) or speakers[end] != speakers[end - 1]
        if not changes and not last.endswith((".", "?", "!")):
            continue
        if end - first >= RULE_WORDS and not last.endswith("?"):
            selected |= set(alignment.sentences_in(first, end))
        first = end
    return selected


def _counts(marked: set[int], selected: set[int], nowhere: int = 0) -> Counts:
    return Counts(
        found=len(marked & selected),
        wrong=len(selected - marked) + nowhere,
        missed=len(marked - selected),
    )


def _sentences_of(claim: Claim, alignment: ScriptAlignment) -> dict[int, int]:
    found: dict[int, int] = {}
    for _, first, end in placed_evidence(claim):
        for sentence, words in alignment.sentences_in(first, end).items():
            found[sentence] = max(words, found.get(sentence, 0))
    return found


def _type_of(sentence: int, accepted: list[PlacedClaim]) -> ClaimType:
    """The type of the claim with most of the sentence's words; of equal ones, the best ranked."""
    covering = [item for item in accepted if sentence in item.sentences]
    best = min(covering, key=lambda item: (-item.sentences[sentence], item.judged.rank))
    return best.judged.claim.type


def _marked_type(dialogue: Dialogue, sentence: int) -> ClaimType:
    kind = dialogue.marks[sentence].type
    if kind is None:
        raise ValueError(f"{dialogue.name}.claims.json marks sentence {sentence} without a type")
    return kind


def _fate(sentence: int, placed: tuple[PlacedClaim, ...], alignment: ScriptAlignment) -> str:
    for item in placed:
        if sentence in item.sentences:
            verdict = item.judged.verdict
            return f"mined, then {verdict.decision.value}: {verdict.reasoning}".rstrip(": ")
    return "not mined" if sentence in alignment.heard() else "not in the transcript"


def _text(item: PlacedClaim) -> str:
    return item.judged.verdict.canonical_text or item.judged.claim.text
