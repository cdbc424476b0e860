"""Diarization: who spoke when."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen

DIARIZATION_SCHEMA = "stope.diarization/1"

DIARIZATION_VERSION = 1
"""Part of a transcribe job's id: raise it when ``stope.speakers`` would make other turns of the
same voices, or give words to other speakers."""


class Turn(Frozen):
    """One speaker from ``start`` to ``end`` seconds. Turns of different speakers may overlap."""

    speaker: str = Field(pattern=r"^S\d+$")
    start: float = Field(ge=0)
    end: float = Field(gt=0)


class Diarization(Frozen):
    """All turns by start. Speakers are ``S1``, ``S2``, … in the order in which they first speak."""

    schema_version: str = DIARIZATION_SCHEMA
    engine: str
    speakers: int = Field(ge=0)
    turns: tuple[Turn, ...]
