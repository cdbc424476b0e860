"""A finished job's document, read from its artifacts."""

from __future__ import annotations

from collections.abc import Mapping

from stope.artifacts import ArtifactStore
from stope.models.diarization import Diarization
from stope.models.gap import Gap
from stope.models.job import InputKind, Job, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.transcript import Transcript
from stope.report.document import Document, Models, Source
from stope.report.facts import RunFacts


async def load_document(
    job: Job,
    result: JsonObject,
    artifacts: ArtifactStore,
    facts: RunFacts | None = None,
    speaker_names: Mapping[str, str] | None = None,
) -> Document:
    """The document of a job with this final result. A mine job has claims that nobody judged.

    Args:
        job: a finished job.
        result: its final result.
        artifacts: where its parts are.
        facts: what its runs took.
        speaker_names: names that were given to speakers of its transcript.

    Raises:
        ArtifactError: a part of the result is gone or damaged.
    """
    parts = result["result"]
    digests = parts if isinstance(parts, dict) else {}
    transcript: Transcript | None = None
    diarization: Diarization | None = None
    mined: MinedClaims | None = None
    knowledge: Knowledge | None = None
    if "transcript_digest" in digests:
        transcript = await artifacts.get_model(str(digests["transcript_digest"]), Transcript)
    if "diarization_digest" in digests:
        diarization = await artifacts.get_model(str(digests["diarization_digest"]), Diarization)
    if "claims_digest" in digests:
        mined = await artifacts.get_model(str(digests["claims_digest"]), MinedClaims)
    if "knowledge_digest" in digests:
        knowledge = await artifacts.get_model(str(digests["knowledge_digest"]), Knowledge)
    gaps = result.get("gaps", [])
    spoken = job.input.kind is InputKind.RECORDING
    return Document(
        source=Source(path=job.input.path, digest=job.input.digest),
        job_id=job.id,
        created_at=job.created_at.isoformat(timespec="seconds"),
        models=Models(
            asr=job.config.asr_model if spoken else None,
            miner=knowledge.miner_model if knowledge else mined.model if mined else None,
            flagship=knowledge.flagship_model if knowledge else None,
        ),
        transcript=transcript,
        diarization=diarization,
        speaker_names=dict(speaker_names or {}),
        # Its knowledge has every mined claim again, with its verdict.
        mined=None if knowledge else mined,
        knowledge=knowledge,
        skipped=mined.skipped if mined else {},
        facts=facts,
        gaps=tuple(map(Gap.model_validate, gaps)) if isinstance(gaps, list) else (),
    )
