"""Timing: how far a start time is from where the sentence truly starts, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.eval.dialogue import Dialogue
from benchmarks.eval.script_alignment import ScriptAlignment
from benchmarks.eval.selection import PlacedClaim, placed_evidence
from stope.models.frozen import Frozen
from stope.models.transcript import Transcript


class StartError(Frozen):
    """One start, late (positive) or early (negative) by ``seconds``."""

    sentence: str
    seconds: float


class Starts(Frozen):
    """Starts that could be measured, of ``total``: those at the beginning of a known sentence."""

    total: int
    errors: tuple[StartError, ...]


def evidence_starts(
    dialogue: Dialogue, alignment: ScriptAlignment, placed: tuple[PlacedClaim, ...]
) -> Starts:
    """The starts of the evidence of accepted claims, where it covers a marked sentence."""
    marked = {n for n, mark in enumerate(dialogue.marks) if mark.claim}
    total = 0
    errors: list[StartError] = []
    for claim in (item.judged.claim for item in placed if item.accepted):
        for evidence, first, end in placed_evidence(claim):
            if not marked & set(alignment.sentences_in(first, end)):
                continue
            total += 1
            errors += _errors(dialogue, alignment, [(first, evidence.start)])
    return Starts(total=total, errors=tuple(errors))


def sentence_starts(
    dialogue: Dialogue, alignment: ScriptAlignment, transcript: Transcript
) -> Starts:
    """The starts of all sentences: how well the transcript's words are timed."""
    starts = [(number, word.start) for number, word in enumerate(transcript.words)]
    errors = _errors(dialogue, alignment, starts)
    return Starts(total=len(dialogue.marks), errors=tuple(errors))


def percentile(errors: Iterable[StartError], percent: float) -> float | None:
    """A percentile of the absolute errors, in seconds; None when nothing was measured."""
    seconds = [abs(error.seconds) for error in errors]
    return float(np.percentile(seconds, percent)) if seconds else None


def _errors(
    dialogue: Dialogue, alignment: ScriptAlignment, starts: Sequence[tuple[int, float | None]]
) -> list[StartError]:
    errors: list[StartError] = []
    for word, start in starts:
        sentence = alignment.sentence_from(word)
        if sentence is not None and start is not None:
            heard = dialogue.heard[sentence]
            late = round(start - heard.start, 3)
            errors.append(StartError(sentence=heard.sentence, seconds=late))
    return errors
