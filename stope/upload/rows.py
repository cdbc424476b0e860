"""What is known as records: each with an ``id`` of its own, grouped by kind.

They are the lines of a file at one kind of destination, and items of their own at another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from stope.models.claim import Claim, Evidence
from stope.models.entity import EntityKind
from stope.models.job import JsonObject
from stope.report.document import Document

UPLOAD_SCHEMA = "stope.upload/1"


def rows_of(document: Document) -> Iterator[tuple[str, Iterable[JsonObject]]]:
    """Each kind of record by its name; a kind that nothing is of has no record."""
    people = [item for item in document.entities if item.kind is EntityKind.PERSON]
    others = [item for item in document.entities if item.kind is EntityKind.ORGANISATION]
    yield "claims", _claims(document)
    yield "evidence", _evidence(document)
    for name, entities in (("people", people), ("organisations", others)):
        yield (
            name,
            [
                item.model_dump(mode="json", exclude={"mentions"})
                | {"mentions": _spans(document, item.mentions)}
                for item in entities
            ],
        )
    for name, ideas in (("jargon", document.terms), ("concepts", document.concepts)):
        yield (
            name,
            [
                idea.model_dump(mode="json", exclude={"evidence"})
                | {"evidence": _spans(document, idea.evidence)}
                for idea in ideas
            ],
        )
    yield "transcript", _utterances(document)


def summary_of(document: Document, collection: str) -> JsonObject:
    """What a collection is and where it comes from."""
    decisions = Counter(
        item.verdict.decision.value
        for item in (document.knowledge.claims if document.knowledge else ())
    )
    return {
        "schema_version": UPLOAD_SCHEMA,
        "collection": collection,
        "title": document.title,
        "source_sha256": document.source.digest,
        "job": document.job_id,
        "models": document.models,
        "language": document.transcript.language if document.transcript else None,
        "duration": document.duration,
        "summary": document.summary,
        "claims": dict(decisions) or {"unjudged": len(document.unjudged)},
        "gaps": list(document.all_gaps),
    }


def _claims(document: Document) -> Iterator[JsonObject]:
    """Claims by rank with their verdicts, or as they were mined. Evidence is a kind of its own."""
    for claim in document.unjudged:
        yield _claim(claim) | {"evidence": _evidence_ids(claim)}
    judged = document.knowledge.claims if document.knowledge else ()
    for item in sorted(judged, key=lambda judged: judged.rank):
        verdict = item.verdict.model_dump(mode="json", exclude={"claim_id"})
        yield (
            _claim(item.claim)
            | verdict
            | {
                "rank": item.rank,
                "tier": item.tier.value,
                "themes": [
                    theme.name for theme in document.themes if item.claim.id in theme.claim_ids
                ],
                "evidence": _evidence_ids(item.claim),
            }
        )


def _claim(claim: Claim) -> JsonObject:
    return claim.model_dump(mode="json", exclude={"evidence"})


def _evidence_ids(claim: Claim) -> list[str]:
    return [f"{claim.id}.{number}" for number, _ in enumerate(claim.evidence, start=1)]


def _evidence(document: Document) -> Iterator[JsonObject]:
    judged = document.knowledge.claims if document.knowledge else ()
    for claim in (*document.unjudged, *(item.claim for item in judged)):
        for name, span in zip(_evidence_ids(claim), _spans(document, claim.evidence), strict=True):
            yield {"id": name, "claim_id": claim.id} | span


def _spans(document: Document, evidence: Iterable[Evidence]) -> list[JsonObject]:
    """Evidence with the name of who speaks."""
    return [
        item.model_dump(mode="json") | {"speaker_name": _name(document, item.speaker)}
        for item in evidence
    ]


def _utterances(document: Document) -> Iterator[JsonObject]:
    transcript = document.transcript
    for number, utterance in enumerate(transcript.utterances if transcript else (), start=1):
        words = transcript.words[utterance.first_word : utterance.end_word] if transcript else ()
        yield {
            "id": f"utt_{number:05}",
            "speaker": utterance.speaker,
            "speaker_name": _name(document, utterance.speaker),
            "start": next((word.start for word in words if word.start is not None), None),
            "end": next((word.end for word in reversed(words) if word.end is not None), None),
            "text": " ".join(word.text for word in words),
        }


def _name(document: Document, speaker: str | None) -> str | None:
    return None if speaker is None else document.name_of(speaker)
