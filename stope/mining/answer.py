"""What mining commits per segment. Raw model output is not a domain type."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.sentence import SentenceKind

MAX_LISTED = 8
"""Things of one sort in one segment: a model that is held to the schema cannot go on for ever, and
what another one lists beyond is left out."""

MAX_CONCEPTS = 3
"""Fewer, since each is told with a whole sentence."""

_LIST = Field(json_schema_extra={"maxItems": MAX_LISTED})


class RawTerm(Frozen):
    """Jargon as the model put it; ``meaning`` is meant to be a quote."""

    term: str = Field(min_length=1)
    meaning: str | None = None


class RawConcept(Frozen):
    """A concept as the model put it; ``quote`` is meant to be said in the segment."""

    name: str = Field(min_length=1)
    quote: str = Field(min_length=1)


class ExtractionAnswer(Frozen):
    """The model's whole answer on what a segment names."""

    people: tuple[str, ...] = _LIST
    organisations: tuple[str, ...] = _LIST
    terms: tuple[RawTerm, ...] = _LIST
    concepts: tuple[RawConcept, ...] = Field(json_schema_extra={"maxItems": MAX_CONCEPTS})


class MinedPart(Frozen):
    """The committed output of one unit of mining: what a segment claims, or what it names.

    Where it claims: ``kinds`` has one kind per sentence, ``rewritings`` has standing-alone wordings
    by the sentence's place. Where it names: ``named`` has the answers of all parts it was asked in.
    """

    kinds: tuple[SentenceKind, ...] = ()
    rewritings: dict[int, str] = Field(default_factory=dict)
    named: tuple[ExtractionAnswer, ...] = ()
