"""Claims and the evidence that grounds them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from stope.models.frozen import Frozen


class ClaimType(StrEnum):
    """What kind of statement a claim is."""

    FACTUAL = "factual"
    CAUSAL = "causal"
    NORMATIVE = "normative"
    FORECAST = "forecast"
    DEFINITION = "definition"


class Stance(StrEnum):
    """How the speaker holds the claim."""

    ASSERTED = "asserted"
    HEDGED = "hedged"
    DENIED = "denied"
    REPORTED = "reported"


class Alignment(StrEnum):
    """How a quote was found in the transcript."""

    EXACT = "exact"
    FUZZY = "fuzzy"
    UNGROUNDED = "ungrounded"


class Evidence(Frozen):
    """Words of the transcript that a claim rests on.

    Where ``alignment`` is not ``ungrounded``, ``quote`` is the transcript's own text at
    ``[char_start, char_end)``, which is words ``[first_word, end_word)``, said from ``start`` to
    ``end`` seconds; ``score`` is 100 for an exact match, else the fuzzy ratio (0 to 100). An
    ungrounded quote is the model's, with no place.
    """

    quote: str
    alignment: Alignment
    score: float = Field(ge=0, le=100)
    char_start: int | None = None
    char_end: int | None = None
    first_word: int | None = None
    end_word: int | None = None
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


class Claim(Frozen):
    """A statement somebody made, as it was mined from one segment.

    ``text`` stands alone: it is the evidence's own words, or (``rewritten``) those words with
    references resolved from what was said around them, and nothing added.
    """

    id: str = Field(pattern=r"^clm_[0-9a-f]{12}$")
    segment_id: str
    text: str
    rewritten: bool = False
    type: ClaimType
    stance: Stance
    evidence: tuple[Evidence, ...]

    @property
    def grounded(self) -> bool:
        """Whether any evidence has a place in the transcript."""
        return any(item.alignment is not Alignment.UNGROUNDED for item in self.evidence)
