"""The document to publish, found from the digest of knowledge or of claims alone.

Knowledge and claims name their transcript. What they do not say (which recording it was, what could
not be transcribed, who told the speakers apart) is in the records: in the oldest jobs that gave
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stope.artifacts import ArtifactStore
from stope.errors import InputError
from stope.models.job import InputKind, Job, JsonObject
from stope.models.knowledge import Knowledge, MinedClaims
from stope.report.document import Document
from stope.report.load import load_document

FindGiver = Callable[[str, str], Awaitable[Job | None]]
"""The oldest finished stage job whose result has a field (``transcript_digest``, …) of a digest."""

SpeakerNamesOf = Callable[[str], Awaitable[dict[str, str]]]
"""The names that were given to the speakers of a transcript, by its digest."""

_FIELDS = {InputKind.KNOWLEDGE: "knowledge_digest", InputKind.CLAIMS: "claims_digest"}
_OF_THE_TRANSCRIPT = ("transcribe", "diarize")
"""Stages whose gaps knowledge and claims do not carry themselves."""


async def read_document(
    job: Job,
    artifacts: ArtifactStore,
    find_giver: FindGiver,
    speaker_names_of: SpeakerNamesOf,
) -> Document:
    """The document that an upload job publishes.

    Raises:
        InputError: the job's input is neither knowledge nor claims.
        ArtifactError: a part of it is gone or damaged.
    """
    field = _FIELDS.get(job.input.kind)
    if field is None:
        raise InputError(
            f"The job {job.id} cannot publish a {job.input.kind.value}; an upload starts from a "
            "finished mine, flagship or pipeline job."
        )
    giver = await find_giver(field, job.input.digest)
    digests: JsonObject = {field: job.input.digest}
    found: Knowledge | MinedClaims
    if field == "knowledge_digest":
        found = await artifacts.get_model(job.input.digest, Knowledge)
        if claims := _claims_of(giver):
            digests["claims_digest"] = claims
    else:
        found = await artifacts.get_model(job.input.digest, MinedClaims)
    digests["transcript_digest"] = found.transcript_digest
    hearer = await find_giver("transcript_digest", found.transcript_digest)
    parts = _parts(hearer)
    if "diarization_digest" in parts:
        digests["diarization_digest"] = parts["diarization_digest"]
    gaps = (hearer.result or {}).get("gaps") if hearer else None
    result: JsonObject = {
        "result": digests,
        "gaps": [
            gap
            for gap in (gaps if isinstance(gaps, list) else [])
            if gap.get("stage") in _OF_THE_TRANSCRIPT
        ],
    }
    # Its source and when it was asked for: not this job's own, so that a repeat gives the same.
    known = hearer or giver or job
    owner = giver or known
    named = known.model_copy(update={"id": owner.parent_id or owner.id})
    return await load_document(
        named,
        result,
        artifacts,
        speaker_names=await speaker_names_of(found.transcript_digest),
    )


def _parts(job: Job | None) -> JsonObject:
    parts = (job.result or {}).get("result") if job else None
    return parts if isinstance(parts, dict) else {}


def _claims_of(giver: Job | None) -> str | None:
    """The claims that were judged: in a pipeline's result, or a flagship job's input."""
    if giver is None:
        return None
    if giver.input.kind is InputKind.CLAIMS:
        return giver.input.digest
    digest = _parts(giver).get("claims_digest")
    return digest if isinstance(digest, str) else None
