"""Grounding: whether evidence is the transcript's own text, with its words' own times."""

from __future__ import annotations

from benchmarks.eval.selection import PlacedClaim
from stope.models.claim import Alignment, Evidence
from stope.models.frozen import Frozen
from stope.models.transcript import Transcript


class Ungrounded(Frozen):
    """An accepted claim with a piece of evidence that is not what the transcript says."""

    claim: str
    quote: str
    reason: str


class Grounding(Frozen):
    """Of the accepted claims, those with evidence of which every piece is verbatim."""

    accepted: int
    verbatim: int
    failures: tuple[Ungrounded, ...]


def check_grounding(transcript: Transcript, placed: tuple[PlacedClaim, ...]) -> Grounding:
    """Look every accepted claim's evidence up in the transcript."""
    accepted = [item.judged.claim for item in placed if item.accepted]
    failures: list[Ungrounded] = []
    verbatim = 0
    for claim in accepted:
        wrong = [
            Ungrounded(claim=claim.text, quote=item.quote, reason=reason)
            for item in claim.evidence
            if (reason := _fault(transcript, item)) is not None
        ]
        if not claim.evidence:
            wrong = [Ungrounded(claim=claim.text, quote="", reason="no evidence")]
        verbatim += not wrong
        failures += wrong
    return Grounding(accepted=len(accepted), verbatim=verbatim, failures=tuple(failures))


def _fault(transcript: Transcript, item: Evidence) -> str | None:
    """What is wrong with a piece of evidence."""
    if item.alignment is Alignment.UNGROUNDED or item.first_word is None or item.end_word is None:
        return "no place in the transcript"
    words = transcript.words[item.first_word : item.end_word]
    if not words or item.end_word > len(transcript.words):
        return "words that are not in the transcript"
    if transcript.text[item.char_start : item.char_end] != item.quote:
        return "not the text at its characters"
    if item.quote.split() != " ".join(word.text for word in words).split():
        return "not the text of its words"
    if (item.start, item.end) != (words[0].start, words[-1].end) or item.start is None:
        return "not its words' times"
    return None
