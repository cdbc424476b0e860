"""What a recording speaks of: people, organisations, jargon and concepts, each with its places."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from stope.models.claim import Evidence
from stope.models.frozen import Frozen


class EntityKind(StrEnum):
    """What a name stands for."""

    PERSON = "person"
    ORGANISATION = "organisation"


class Entity(Frozen):
    """Somebody or some body that is named, with every place where that happens, in order.

    ``name`` is the fullest form that was said; ``aliases`` are the other forms. ``description``
    is said of them in the recording, in its words.
    """

    id: str = Field(pattern=r"^ent_[0-9a-f]{12}$")
    kind: EntityKind
    name: str
    aliases: tuple[str, ...] = ()
    description: str | None = None
    mentions: tuple[Evidence, ...]


class Term(Frozen):
    """Jargon: a technical term, and what it means if somebody said so."""

    id: str = Field(pattern=r"^trm_[0-9a-f]{12}$")
    term: str
    definition: str | None = None
    evidence: tuple[Evidence, ...]


class Concept(Frozen):
    """A mental model or concept that speakers reason with."""

    id: str = Field(pattern=r"^cpt_[0-9a-f]{12}$")
    name: str
    description: str
    evidence: tuple[Evidence, ...]
