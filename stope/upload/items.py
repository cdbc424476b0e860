"""A document as items: the same document always gives the same bytes.

A destination that keeps files gets what is known as JSON lines, a file for each kind; one that
keeps records gets each record as an item of its own. Both get every export that fits the document,
and last of all what the whole is and where it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from stope.identity import canonical_json
from stope.models.job import JsonObject
from stope.models.upload import Item
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for
from stope.upload.rows import rows_of, summary_of

INDEX = "index.json"
PUBLICATION = "publication/index"
"""The item that says what a collection of records is."""

_JSON = "application/json"
_LINES = "application/x-ndjson"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "json": _JSON,
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
}


def items_of(document: Document, collection: str) -> list[Item]:
    """The items of a document that was mined, as files; the index is the last of them.

    Args:
        document: what to publish. Names given to speakers and gaps are part of it.
        collection: what the ids of all items begin with: which result this is.
    """
    items = [_lines(f"{collection}/{name}.jsonl", rows) for name, rows in rows_of(document)]
    items.extend(_exports(document, collection))
    # A reader begins here, and can check the rest.
    body = summary_of(document, collection) | {"items": [item.facts for item in items]}
    data = f"{canonical_json(body)}\n".encode()
    return [*items, Item(id=f"{collection}/{INDEX}", content_type=_JSON, data=data)]


def records_of(document: Document, collection: str) -> list[Item]:
    """The same as records: ``<collection>/<kind>/<id>``, each a JSON object in canonical form.

    NUL in their texts, which PostgreSQL does not take, is U+FFFD. Exports are as in ``items_of``.
    """
    items: list[Item] = []
    counts: dict[str, int] = {}
    for kind, rows in rows_of(document):
        made = [_record(f"{collection}/{kind}/{row['id']}", row) for row in rows]
        counts[kind] = len(made)
        items.extend(made)
    items.extend(_exports(document, collection))
    body = summary_of(document, collection) | {"records": counts}
    return [*items, _record(f"{collection}/{PUBLICATION}", body)]


def _exports(document: Document, collection: str) -> Iterator[Item]:
    for form in formats_for(document):
        export = FORMATS[form]
        data = export.render(document).encode()
        yield Item(id=f"{collection}/{export.file_name}", content_type=_TYPES[form], data=data)


def _lines(item_id: str, rows: Iterable[JsonObject]) -> Item:
    text = "".join(f"{canonical_json(row)}\n" for row in rows)
    return Item(id=item_id, content_type=_LINES, data=text.encode())


def _record(item_id: str, row: JsonObject) -> Item:
    plain = _storable(json.loads(canonical_json(row)))
    return Item(id=item_id, content_type=_JSON, data=canonical_json(plain).encode())


def _storable(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(part) for part in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(part) for name, part in value.items()}
    return value
