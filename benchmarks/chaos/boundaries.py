"""The boundaries of a run, by name.

The first seven follow each other in every unit of an LLM stage::

    before the call ─► call ─► after the answer ─► ledger ─► after the ledger ─► accepted
      ─► before the unit ─► commit ─► after the unit ─► heartbeat ─► before the mirror ─► mirror
      ─► after the mirror

The others are changes of a stage, each before it is said and after it was mirrored, and the rows
that open, note and close runs, each before and after they are written.
"""

from __future__ import annotations

BEFORE_CALL = "before the call"
AFTER_ANSWER = "between answer and ledger"
AFTER_LEDGER = "between ledger and acceptance"
BEFORE_UNIT = "between ledger and unit"
AFTER_UNIT = "between unit and heartbeat"
BEFORE_MIRROR = "between heartbeat and mirror"
AFTER_MIRROR = "after the mirror"
UNIT_BOUNDARIES = (
    *(BEFORE_CALL, AFTER_ANSWER, AFTER_LEDGER, BEFORE_UNIT),
    *(AFTER_UNIT, BEFORE_MIRROR, AFTER_MIRROR),
)

ARTIFACT = "artifact"
"""An artifact is about to be written."""

LOOKED = "looking in the ledger"
"""A worker is about to look for an answer; ``about`` has the key of the request."""

CALL_FAILED = "call failed"
FAULT = "fault"
"""A worker carries out an order."""

UNITS = "units"
"""A stage has its units; ``about`` has their ids and keys."""


def entering(job_type: str, stage: str) -> str:
    """A checkpoint is about to change its stage."""
    return f"entering {job_type}/{stage}"


def entered(job_type: str, stage: str) -> str:
    """The change was beaten and mirrored."""
    return f"in {job_type}/{stage}"


def writing(row: str, job_type: str) -> str:
    """A row about a run is about to be written: ``open``, ``stage``, ``note`` or ``close``."""
    return f"before {row} {job_type}"


def written(row: str, job_type: str) -> str:
    """It was written; whoever asked has not heard of it."""
    return f"after {row} {job_type}"
