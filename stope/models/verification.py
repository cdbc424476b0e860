"""What a comparison of mirror, units and Temporal's history found."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.job import JobStatus


class Finding(Frozen):
    """One thing that differs, as one sentence. ``wrong`` is False for what may well be so."""

    about: str = Field(description="mirror, records, units, plans, artifacts, rows or temporal")
    text: str
    wrong: bool = True


class Verification(Frozen):
    """One job as it was found. ``checked`` counts what was looked at."""

    job_id: str
    attempt: int | None = None
    status: JobStatus
    checked: dict[str, int] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    rebuilt: bool = Field(default=False, description="its mirror was written anew from its units")

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)
