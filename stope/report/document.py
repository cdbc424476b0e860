"""The document: everything an export says about one job."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePath

from pydantic import Field

from stope.models.claim import Alignment, Claim, Evidence
from stope.models.diarization import Diarization
from stope.models.entity import Concept, Entity, Term
from stope.models.frozen import Frozen
from stope.models.gap import Gap
from stope.models.knowledge import JudgedClaim, Knowledge, MinedClaims, Summary, Theme
from stope.models.transcript import Flag, Transcript
from stope.models.verdict import Decision
from stope.report.facts import RunFacts

EXPORT_SCHEMA = "stope.export/2"


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

    A transcribe job has neither ``mined`` nor ``knowledge``; a mine job has ``mined``, whose claims
    nobody judged; from the flagship stage on there is ``knowledge`` instead.
    """

    schema_version: str = EXPORT_SCHEMA
    source: Source
    job_id: str
    created_at: str = Field(description="ISO 8601, of the export or its run: the caller's choice")
    models: Models = Models()
    transcript: Transcript | None = None
    mined: MinedClaims | None = None
    knowledge: Knowledge | None = None
    gaps: tuple[Gap, ...] = ()
    speaker_names: dict[str, str] = Field(
        default_factory=dict, description="speaker id to the name that was given to it"
    )
    diarization: Diarization | None = None
    skipped: dict[str, int] = Field(
        default_factory=dict, description="sentences that claim nothing, by kind"
    )
    facts: RunFacts | None = None

    @property
    def title(self) -> str:
        """The source's file name, or its path where that has none."""
        return PurePath(self.source.path).name or self.source.path

    @cached_property
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
    def merged(self) -> tuple[JudgedClaim, ...]:
        """The claims that say the same as another one, by rank."""
        return self._decided(Decision.MERGE)

    @property
    def split(self) -> tuple[JudgedClaim, ...]:
        """The claims whose parts became claims of their own, by rank."""
        return self._decided(Decision.SPLIT)

    @property
    def rejected(self) -> tuple[JudgedClaim, ...]:
        """The claims not worth keeping, by rank."""
        return self._decided(Decision.REJECT)

    @property
    def unjudged(self) -> tuple[Claim, ...]:
        """Mined claims without a verdict, in transcript order."""
        return self.mined.claims if self.mined is not None and self.knowledge is None else ()

    @property
    def summary(self) -> Summary | None:
        """What was said, in short and at length."""
        return self.knowledge.summary if self.knowledge else None

    @property
    def themes(self) -> tuple[Theme, ...]:
        """What several accepted claims are about."""
        return self.knowledge.themes if self.knowledge else ()

    @property
    def entities(self) -> tuple[Entity, ...]:
        """People and organisations."""
        found = self.knowledge or self.mined
        return found.entities if found else ()

    @property
    def terms(self) -> tuple[Term, ...]:
        """Jargon."""
        found = self.knowledge or self.mined
        return found.terms if found else ()

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What speakers reason with."""
        found = self.knowledge or self.mined
        return found.concepts if found else ()

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The doubtful passages of the transcript, in order."""
        return self.transcript.flags if self.transcript else ()

    @property
    def all_gaps(self) -> tuple[Gap, ...]:
        """The gaps of the document and of all its parts, each once: no renderer may drop one."""
        known = self.knowledge.gaps if self.knowledge else ()
        mined = self.mined.gaps if self.mined else ()
        return tuple(dict.fromkeys((*self.gaps, *mined, *known)))

    def name_of(self, speaker: str) -> str:
        """The name given to a speaker, else ``Speaker 1`` for ``S1``, else the id itself."""
        given = self.speaker_names.get(speaker, "").strip()
        if given:
            return given
        number = speaker.removeprefix("S")
        numbered = number != speaker and number.isascii() and number.isdigit()
        return f"Speaker {number}" if numbered else speaker

    def _decided(self, decision: Decision) -> tuple[JudgedClaim, ...]:
        return self._by_decision.get(decision, ())

    @cached_property
    def _by_decision(self) -> dict[Decision, tuple[JudgedClaim, ...]]:
        found: dict[Decision, list[JudgedClaim]] = {}
        for judged in self.knowledge.claims if self.knowledge else ():
            found.setdefault(judged.verdict.decision, []).append(judged)
        return {
            decision: tuple(sorted(claims, key=lambda judged: judged.rank))
            for decision, claims in found.items()
        }


def place_of(claim: Claim) -> Evidence | None:
    """The first evidence that has a place in the transcript, or None."""
    grounded = (item for item in claim.evidence if item.alignment is not Alignment.UNGROUNDED)
    return next(grounded, None)
