"""Claims as a table: one row a claim, for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from stope.errors import InputError
from stope.models.claim import Claim, Evidence
from stope.models.knowledge import JudgedClaim
from stope.report.document import Document, place_of
from stope.report.lines import clock, one_line

COLUMNS = (
    "claim_id",
    "rank",
    "tier",
    "decision",
    "claim",
    "type",
    "stance",
    "importance",
    "novelty",
    "confidence",
    "speaker",
    "time",
    "start_seconds",
    "end_seconds",
    "quote",
    "alignment",
    "other_quotes",
    "themes",
    "reasoning",
    "merged_into",
    "split_into",
    "rewritten",
)

# A cell that begins so is run as a formula by Excel, LibreOffice or Google Sheets, also in the
# wide forms that Japanese input methods write.
_FORMULA = re.compile("^[\\s\u200b-\u200f\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


def render_csv(document: Document) -> str:
    """RFC 4180, with a byte order mark, which Excel needs to read UTF-8.

    A text that a spreadsheet would take for a formula is led by an apostrophe. Numbers are never
    negative and have none.

    Raises:
        InputError: the document has no claims, because it was not mined.
    """
    if document.knowledge is None and document.mined is None:
        raise InputError(
            f"The job {document.job_id} mined no claims, so there is no csv; run the pipeline on "
            f"{document.title}, or export txt or json."
        )
    table = io.StringIO()
    table.write("\ufeff")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in _rows(document):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return table.getvalue()


def _rows(document: Document) -> Iterator[dict[str, object]]:
    themes: dict[str, list[str]] = {}
    for theme in document.themes:
        for claim_id in theme.claim_ids:
            themes.setdefault(claim_id, []).append(theme.name)
    for claim in document.unjudged:
        yield _mined(document, claim)
    claims = document.knowledge.claims if document.knowledge else ()
    for judged in sorted(claims, key=lambda item: item.rank):
        yield _judged(document, judged, themes.get(judged.claim.id, []))


def _mined(document: Document, claim: Claim) -> dict[str, object]:
    place = place_of(claim) or next(iter(claim.evidence), None)
    others = [_other(document, item) for item in claim.evidence if item is not place]
    row: dict[str, object] = {
        "claim_id": claim.id,
        "claim": claim.text,
        "type": claim.type.value,
        "stance": claim.stance.value,
        "other_quotes": " | ".join(others),
        "rewritten": "yes" if claim.rewritten else "no",
    }
    if place is not None:
        row |= {
            "speaker": document.name_of(place.speaker) if place.speaker else "",
            "time": "" if place.start is None else clock(place.start),
            "start_seconds": place.start,
            "end_seconds": place.end,
            "quote": place.quote,
            "alignment": place.alignment.value,
        }
    return row


def _judged(document: Document, judged: JudgedClaim, themes: list[str]) -> dict[str, object]:
    verdict = judged.verdict
    return _mined(document, judged.claim) | {
        "rank": judged.rank,
        "tier": judged.tier.value,
        "decision": verdict.decision.value,
        "claim": verdict.canonical_text,
        "importance": verdict.importance,
        "novelty": verdict.novelty,
        "confidence": verdict.confidence,
        "themes": ", ".join(themes),
        "reasoning": verdict.reasoning,
        "merged_into": verdict.merged_into,
        "split_into": " ".join(verdict.split_into),
    }


def _other(document: Document, evidence: Evidence) -> str:
    time = "" if evidence.start is None else f"[{clock(evidence.start)}] "
    speaker = f"{document.name_of(evidence.speaker)}: " if evidence.speaker else ""
    return f"{time}{speaker}{evidence.quote}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = one_line(str(value))
    return f"'{text}" if isinstance(value, str) and _FORMULA.match(text) else text
