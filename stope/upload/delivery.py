"""Items as the body of a delivery."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from stope.identity import canonical_json, digest_of
from stope.models.delivery import DELIVERY_SCHEMA, QUESTION_SCHEMA
from stope.models.job import JsonObject
from stope.models.upload import Item

REPORT = "report"


def delivery_of(items: Sequence[Item]) -> bytes:
    """The body that delivers some items; see ``stope.models.delivery.Delivery``."""
    body = {"schema_version": DELIVERY_SCHEMA, "items": [_piece(item) for item in items]}
    return canonical_json(body).encode()


def question_of(item_ids: Sequence[str]) -> bytes:
    """The body that asks what stands under some ids; see ``Question``."""
    return canonical_json({"schema_version": QUESTION_SCHEMA, "ids": list(item_ids)}).encode()


def idempotency_key(item: Item) -> str:
    """Names this content under this id, whoever sends it and however often."""
    return digest_of([item.id, item.digest])


def _piece(item: Item) -> JsonObject:
    collection, kind, name = _place(item.id)
    return {
        "id": item.id,
        "collection": collection,
        "kind": kind,
        "name": name,
        "idempotency_key": idempotency_key(item),
        "sha256": item.digest,
        "size": len(item.data),
        "content_type": item.content_type,
        **_content(item),
    }


def _place(item_id: str) -> tuple[str, str, str]:
    """Collection, kind and name: a record's id has all three, a file's has no kind."""
    collection, _, rest = item_id.partition("/")
    kind, _, name = rest.partition("/")
    return (collection, kind, name) if name else (collection, REPORT, kind or collection)


def _content(item: Item) -> JsonObject:
    try:
        text = item.data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(item.data).decode()}
    try:
        record = json.loads(text)
        # Only where whoever gets it can make the same bytes of it again, and so the same digest.
        if isinstance(record, dict) and canonical_json(record) == text:
            return {"record": record}
    except ValueError:
        pass
    return {"text": text}
