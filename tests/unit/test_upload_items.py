"""Items: the same document gives the same bytes, with names and gaps, and an index of them all."""

from __future__ import annotations

import json
from typing import Any

from stope.identity import canonical_json, digest_bytes
from stope.models.entity import Entity, EntityKind, Term
from stope.models.gap import Gap
from stope.models.knowledge import MinedClaims
from stope.models.upload import Item
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for
from stope.upload.items import INDEX, PUBLICATION, items_of, records_of
from tests.documents import TALK_DOCUMENT, hostile_document, make_claim, make_quote, mined_document

GAP = Gap(stage="transcribe", unit_id="chunk_0002", reason="It is damaged.", start=1, end=2)
RECORDS = ("claims", "evidence", "people", "organisations", "jargon", "concepts", "transcript")


def by_name(document: Document) -> dict[str, Item]:
    return {item.name: item for item in items_of(document, "knowledge-1")}


def rows(document: Document, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in by_name(document)[f"{name}.jsonl"].data.splitlines()]


def test_every_kind_of_record_and_every_fitting_export_is_an_item() -> None:
    items = items_of(TALK_DOCUMENT, "knowledge-1")
    exports = [FORMATS[name].file_name for name in formats_for(TALK_DOCUMENT)]
    assert [item.id for item in items] == [
        *(f"knowledge-1/{name}.jsonl" for name in RECORDS),
        *(f"knowledge-1/{name}" for name in exports),
        f"knowledge-1/{INDEX}",
    ]
    assert {"report.html", "transcript.vtt", "claims.csv"} <= set(exports)


def test_the_same_document_gives_the_same_bytes() -> None:
    again = Document.model_validate_json(TALK_DOCUMENT.model_dump_json())
    assert items_of(again, "knowledge-1") == items_of(TALK_DOCUMENT, "knowledge-1")


def test_the_index_names_all_others_with_their_digests() -> None:
    items = by_name(TALK_DOCUMENT)
    index = json.loads(items.pop(INDEX).data)
    assert {fact["id"]: (fact["size"], fact["digest"]) for fact in index["items"]} == {
        item.id: (len(item.data), digest_bytes(item.data)) for item in items.values()
    }
    assert index["claims"] == {"accept": 2, "reject": 1}
    assert (index["title"], index["gaps"]) == ("talk.opus", [])


def test_claims_come_by_rank_and_their_evidence_by_the_ids_they_name() -> None:
    claims, evidence = rows(TALK_DOCUMENT, "claims"), rows(TALK_DOCUMENT, "evidence")
    assert [claim["rank"] for claim in claims] == [1, 2, 3]
    assert [name for claim in claims for name in claim["evidence"]] == [
        piece["id"] for piece in evidence
    ]
    assert [(piece["claim_id"], piece["quote"]) for piece in evidence] == [
        (claims[0]["id"], "Roofs lose most heat."),
        (claims[1]["id"], "Pumps save money."),
    ]
    assert (claims[0]["decision"], claims[0]["tier"]) == ("accept", "A")


def test_names_given_to_speakers_are_everywhere_and_change_the_digests() -> None:
    named = TALK_DOCUMENT.model_copy(update={"speaker_names": {"ANN": "Ann Lee"}})
    assert [row["speaker_name"] for row in rows(named, "transcript")] == ["Ann Lee", "BOB"]
    assert rows(named, "evidence")[0]["speaker_name"] == "Ann Lee"
    before, after = by_name(TALK_DOCUMENT), by_name(named)
    changed = {name for name in before if before[name].digest != after[name].digest}
    assert {"evidence.jsonl", "transcript.jsonl", "transcript.txt", "report.html", INDEX} <= changed
    # Nobody's name is in it, so what was sent stays good.
    assert "claims.jsonl" not in changed


def test_gaps_are_shown() -> None:
    items = by_name(TALK_DOCUMENT.model_copy(update={"gaps": (GAP,)}))
    assert json.loads(items[INDEX].data)["gaps"] == [GAP.model_dump(mode="json")]
    for name in ("report.html", "transcript.txt", "claims.md", "knowledge.json"):
        assert b"It is damaged." in items[name].data, name


def test_people_are_apart_from_organisations_with_their_places() -> None:
    quote = make_quote("Roofs lose", 0, 2)
    mined = MinedClaims(
        transcript_digest="0" * 64,
        model="m",
        segments=1,
        claims=(),
        entities=(
            Entity(id=f"ent_{1:012}", kind=EntityKind.PERSON, name="Ann Lee", mentions=(quote,)),
            Entity(id=f"ent_{2:012}", kind=EntityKind.ORGANISATION, name="Roofs", mentions=()),
        ),
        terms=(Term(id=f"trm_{1:012}", term="heat", evidence=(quote,)),),
    )
    document = TALK_DOCUMENT.model_copy(update={"knowledge": None, "mined": mined})
    [person] = rows(document, "people")
    assert (person["name"], person["mentions"][0]["speaker_name"]) == ("Ann Lee", "ANN")
    assert [row["name"] for row in rows(document, "organisations")] == ["Roofs"]
    assert rows(document, "jargon")[0]["evidence"][0]["quote"] == "Roofs lose"
    assert rows(document, "concepts") == []


def test_claims_that_nobody_judged_come_as_they_were_mined() -> None:
    claim = make_claim(1, "Roofs lose heat", make_quote("Roofs lose", 0, 2)).claim
    document = mined_document(claim)
    [row] = rows(document, "claims")
    assert (row["id"], row["text"]) == (claim.id, claim.text)
    assert not {"rank", "tier", "decision"} & set(row)
    assert json.loads(by_name(document)[INDEX].data)["claims"] == {"unjudged": 1}


def test_text_that_would_like_to_be_code_stays_a_record() -> None:
    document = hostile_document()
    assert [row["rank"] for row in rows(document, "claims")] == [1, 2, 3, 4, 5]
    assert len(rows(document, "transcript")) == 2


def test_records_are_the_same_rows_each_an_item_of_its_own() -> None:
    items = records_of(TALK_DOCUMENT, "knowledge-1")
    assert records_of(TALK_DOCUMENT, "knowledge-1") == items
    found: dict[str, list[Any]] = {}
    for item in items:
        if item.id.count("/") == 2:
            found.setdefault(item.id.split("/")[1], []).append(json.loads(item.data))
    [publication] = found.pop("publication")
    assert found == {name: rows(TALK_DOCUMENT, name) for name in found}
    assert publication["records"] == {name: len(found.get(name, ())) for name in RECORDS}
    assert publication["title"] == "talk.opus"
    files = {item.id: item.data for item in items if item.id.count("/") == 1}
    assert files == {
        item.id: item.data
        for item in items_of(TALK_DOCUMENT, "knowledge-1")
        if not item.id.endswith((".jsonl", INDEX))
    }
    assert items[-1].id == f"knowledge-1/{PUBLICATION}"


def test_records_hold_nothing_that_a_database_does_not_take() -> None:
    items = records_of(hostile_document("a\0b"), "knowledge-1")
    for item in items:
        if item.id.count("/") == 2:
            assert b"\\u0000" not in item.data
            assert item.data.decode() == canonical_json(json.loads(item.data))
