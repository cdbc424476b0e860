"""The document: everything an export says about one job."""

from __future__ import annotations

from pathlib import PurePath

from pydantic import Field

from stope.models.claim import Alignment, Claim, Evidence
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, Knowledge
from stope.models.transcript import Transcript
from stope.models.verdict import Decision

EXPORT_SCHEMA = "stope.export/1"


class Source(Frozen):
    """What the job worked on: the path as the user gave it, and its content's SHA-256."""

    path: str
    digest: str


class Models(Frozen):
    """Which model did each stage; None where the job had no such stage."""

    asr: str | None = None
    miner: str | None = None
    flagship: str | None = None


class Document(Frozen):
    """One job's result, and where it came from. Every renderer is a function of it alone.

    A transcribe job has no ``knowledge``; a job that started from claims has no ``transcript``.
    """

    schema_version: str = EXPORT_SCHEMA
    source: Source
    job_id: str
    created_at: str = Field(description="ISO 8601, of the export or its run: the caller's choice")
    models: Models = Models()
    transcript: Transcript | None = None
    knowledge: Knowledge | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def title(self) -> str:
        """The source's file name, or its path where that has none."""
        return PurePath(self.source.path).name or self.source.path

    @property
    def duration(self) -> float | None:
        """Seconds of the recording: what the transcript says, else where its last word ends."""
        if self.transcript is None:
            return None
        ends = (word.end for word in self.transcript.words if word.end is not None)
        known = self.transcript.duration
        return known if known is not None else max(ends, default=None)

    @property
    def accepted(self) -> tuple[JudgedClaim, ...]:
        """The claims worth keeping, by rank."""
        return self._decided(Decision.ACCEPT)

    @property
    def rejected(self) -> tuple[JudgedClaim, ...]:
        """The other claims, by rank."""
        return self._decided(Decision.REJECT)

    @property
    def all_gaps(self) -> tuple[Gap, ...]:
        """The document's gaps and its knowledge's, each once: no renderer may drop one."""
        known = self.knowledge.gaps if self.knowledge else ()
        return tuple(dict.fromkeys((*self.gaps, *known)))

    def _decided(self, decision: Decision) -> tuple[JudgedClaim, ...]:
        claims = self.knowledge.claims if self.knowledge else ()
        kept = (judged for judged in claims if judged.verdict.decision is decision)
        return tuple(sorted(kept, key=lambda judged: judged.rank))


def place_of(claim: Claim) -> Evidence | None:
    """The first evidence that has a place in the transcript, or None."""
    grounded = (item for item in claim.evidence if item.alignment is not Alignment.UNGROUNDED)
    return next(grounded, None)
