"""Gaps: units that could not be done, named."""

from __future__ import annotations

from stope.models.frozen import Frozen


class Gap(Frozen):
    """A unit without an output: which, where in the recording (seconds), and why."""

    stage: str
    unit_id: str
    reason: str
    start: float | None = None
    end: float | None = None
