"""A document as items: the same document always gives the same bytes.

What is known comes as JSON lines, a record a line with an id of its own, so that a destination that
keeps records can take each by its id; then every export that fits the document. The index names
them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from stope.identity import canonical_json
from stope.models.claim import Claim, Evidence
from stope.models.entity import EntityKind
from stope.models.job import JsonObject
from stope.models.upload import Item
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for

INDEX = "index.json"
UPLOAD_SCHEMA = "stope.upload/1"

_LINES = "application/x-ndjson"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
}


def items_of(document: Document, collection: str) -> list[Item]:
    """The items of a document that was mined; the index is the last of them.

    Args:
        document: what to publish. Names given to speakers and gaps are part of it.
        collection: what the ids of all items begin with: which result this is.
    """
    items = [_lines(f"{collection}/{name}.jsonl", rows) for name, rows in _records(document)]
    for form in formats_for(document):
        export = FORMATS[form]
        data = export.render(document).encode()
        items.append(
            Item(id=f"{collection}/{export.file_name}", content_type=_TYPES[form], data=data)
        )
    return [*items, _index(document, collection, items)]


def _records(document: Document) -> Iterator[tuple[str, Iterable[JsonObject]]]:
    """Each kind of record by the name of its item; a kind that nothing is of has no line."""
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


def _lines(item_id: str, rows: Iterable[JsonObject]) -> Item:
    text = "".join(f"{canonical_json(row)}\n" for row in rows)
    return Item(id=item_id, content_type=_LINES, data=text.encode())


def _index(document: Document, collection: str, items: list[Item]) -> Item:
    """What is there and where it comes from: a reader begins here, and can check the rest."""
    decisions = Counter(
        item.verdict.decision.value
        for item in (document.knowledge.claims if document.knowledge else ())
    )
    body = {
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
        "items": [item.facts for item in items],
    }
    return Item(
        id=f"{collection}/{INDEX}",
        content_type="application/json",
        data=f"{canonical_json(body)}\n".encode(),
    )
