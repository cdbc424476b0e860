"""The tables that an upload fills in a PostgreSQL database.

Each row holds an item as it was given, ``body``; every other column but ``published_at`` is
generated from it by the database. So nobody can change what a row says without changing its body,
whose SHA-256 tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Computed,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

REPORT = "report"

_TEXT, _NUMBER, _WHOLE = "text", "double precision", "integer"
_TYPES: Mapping[str, TypeEngine[Any]] = {_TEXT: Text(), _NUMBER: Float(), _WHOLE: Integer()}

_TIMES = {"start_seconds": _NUMBER, "end_seconds": _NUMBER}
_FIELDS = {"start_seconds": "start", "end_seconds": "end"}
"""Fields of records whose columns have other names."""


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, _TEXT)


_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "publication": _texts("title", "source_sha256", "language") | {"duration": _NUMBER},
    "claims": _texts("text", "canonical_text", "type", "stance", "decision", "tier")
    | {"rank": _WHOLE, "importance": _WHOLE},
    "evidence": _texts("claim_id", "quote", "speaker", "speaker_name") | _TIMES,
    "people": _texts("name", "description"),
    "organisations": _texts("name", "description"),
    "jargon": _texts("term", "definition"),
    "concepts": _texts("name", "description"),
    "transcript": _texts("speaker", "speaker_name", "text") | _TIMES,
}
"""By table: each column of its own, and as what it shows the record's field."""


@dataclass(frozen=True)
class Tables:
    """The tables in one schema: of each kind of record, and of files."""

    metadata: MetaData
    records: Mapping[str, Table]
    report: Table

    def place(self, item_id: str) -> tuple[Table, str, str]:
        """The table of an item, its collection, and its id in there."""
        collection, _, rest = item_id.partition("/")
        kind, _, name = rest.partition("/")
        if name and kind in self.records:
            return self.records[kind], collection, name
        return (self.report, collection, rest) if rest else (self.report, "", collection)


def digest_in(table: Table) -> ColumnElement[str]:
    """The SHA-256 of a row's body as the database finds it, 64 lower-case hex digits."""
    # The cast of a text would read its backslashes.
    data = table.c.body if table.name == REPORT else func.convert_to(table.c.body, "UTF8")
    return func.encode(func.sha256(data), "hex")


def tables_in(schema: str) -> Tables:
    """The tables as they are in a schema of this name."""
    metadata = MetaData(schema=schema)
    records = {
        kind: Table(
            kind,
            metadata,
            *_key(),
            Column("body", Text, nullable=False, comment="canonical JSON"),
            *(_shown(name, cast) for name, cast in columns.items()),
            Column("record", JSONB, _made("body::jsonb")),
            _published(),
        )
        for kind, columns in _COLUMNS.items()
    }
    report = Table(
        REPORT,
        metadata,
        *_key(),
        Column("content_type", Text, nullable=False),
        Column("body", LargeBinary, nullable=False, comment="the file"),
        Column("size", BigInteger, _made("octet_length(body)")),
        _published(),
    )
    return Tables(metadata, records, report)


def _key() -> tuple[Column[str], Column[str]]:
    return (
        Column("collection", Text, primary_key=True, comment="which result: knowledge-…, claims-…"),
        Column("id", Text, primary_key=True),
    )


def _shown(name: str, cast: str) -> Column[Any]:
    field = _FIELDS.get(name, name)
    return Column(name, _TYPES[cast], _made(f"((body::jsonb) ->> '{field}')::{cast}"))


def _made(expression: str) -> Computed:
    """Stored, so that a body of which it cannot be made is no row."""
    return Computed(expression, persisted=True)


def _published() -> Column[Any]:
    return Column(
        "published_at", DateTime(timezone=True), nullable=False, server_default=func.now()
    )
