"""A finished job's document, read from its artifacts."""

from __future__ import annotations

from stope.artifacts import ArtifactStore
from stope.models.gap import Gap
from stope.models.job import InputKind, Job, JsonObject
from stope.models.knowledge import Knowledge
from stope.models.transcript import Transcript
from stope.report.document import Document, Models, Source


async def load_document(job: Job, result: JsonObject, artifacts: ArtifactStore) -> Document:
    """The document of a job with this final result. A mine job has no verdicts, so no knowledge.

    Raises:
        ArtifactError: a part of the result is gone or damaged.
    """
    parts = result["result"]
    digests = parts if isinstance(parts, dict) else {}
    transcript: Transcript | None = None
    knowledge: Knowledge | None = None
    if "transcript_digest" in digests:
        transcript = await artifacts.get_model(str(digests["transcript_digest"]), Transcript)
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
            miner=knowledge.miner_model if knowledge else None,
            flagship=knowledge.flagship_model if knowledge else None,
        ),
        transcript=transcript,
        knowledge=knowledge,
        gaps=tuple(map(Gap.model_validate, gaps)) if isinstance(gaps, list) else (),
    )


def formats_for(document: Document) -> tuple[str, ...]:
    """The formats that say something about a document: no subtitles without times."""
    transcript = document.transcript
    timed = transcript is not None and any(word.start is not None for word in transcript.words)
    return ("html", "md", "txt", "json", *(("srt",) if timed else ()))
