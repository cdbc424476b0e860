"""What one stage hands on to the next in a plan: known, or made up at both ends of a range."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stope.models.claim import Claim
from stope.models.transcript import Transcript
from stope.money.forecast import made_up_talk
from stope.money.paper import Lean
from stope.money.plan import Span, exactly

SAMPLE_WORDS = 1500
"""A longer recording is taken for this often doubled, not quite twice over."""

_STEP = 50
_LONGEST_SAMPLE = SAMPLE_WORDS << 4


@dataclass(frozen=True)
class Known:
    """What stages hand on: known, or made up at both ends, each so many times over.

    ``invented``: the transcripts are made up, so that no answer about them can be known.
    """

    transcripts: dict[Lean, tuple[Transcript, float]]
    claims: dict[Lean, tuple[tuple[Claim, ...], float]] | None = None
    invented: bool = False


def made_up(words: Span, language: str) -> Known:
    """Talks of two lengths, for a recording that nobody has transcribed."""
    ends = {Lean.LOW: words.low, Lean.HIGH: words.high}
    samples = {lean: _sample(count) for lean, count in ends.items()}
    return Known(
        {
            lean: (made_up_talk(samples[lean], language), count / max(1, samples[lean]))
            for lean, count in ends.items()
        },
        invented=True,
    )


def _sample(words: float) -> int:
    """How long a talk stands for one of so many words: few lengths serve many recordings."""
    if words < SAMPLE_WORDS:
        return math.ceil(words / _STEP) * _STEP
    sample = SAMPLE_WORDS
    while 2 * sample <= min(words, _LONGEST_SAMPLE):
        sample *= 2
    return sample


def words_of(known: Known) -> Span:
    """How many words there are."""
    if not known.transcripts:
        return exactly(0)
    return span_of(
        {lean: round(len(talk.words) * times) for lean, (talk, times) in known.transcripts.items()}
    )


def span_of(ends: dict[Lean, float]) -> Span:
    """The range of a figure that is known at both ends."""
    return Span(low=min(ends.values()), high=max(ends.values()))


def number_of(value: object) -> float:
    """A number of a record of whatever version; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0
