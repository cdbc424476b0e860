"""A PostgreSQL database as a destination: a row for each record, put by its id."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, Table, func, inspect, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateSchema

from stope.errors import DestinationRefusedError, ItemRefusedError, StopeError
from stope.models.upload import Item, Receipt
from stope.upload.access import UNVERIFIED
from stope.upload.batched import ItemBatches
from stope.upload.sql_errors import TROUBLE, destination_error
from stope.upload.tables import REPORT, digest_in, tables_in

DEFAULT_SCHEMA = "stope"

MOST_ITEMS = 200
MOST_BYTES = 4 << 20
"""Of a transaction; a larger item goes alone."""

_FLIGHTS = 2
_SECONDS = {"timeout": 15.0, "command_timeout": 120.0}
"""How long the server may take to let us in, and for one statement."""

_MAKING = 5_872_114_906
"""The advisory lock of whoever makes the tables: any number that nobody else uses."""


class PostgresDestination:
    """Tables in one schema of a database; what is missing of them is made with the first item.

    Args:
        url: ``postgresql://user@host:port/database?schema=name``, without a password.
        password: None: the driver looks for one, in PGPASSWORD and in the password file. For whom
            one is meant has been seen to (``stope.upload.access``).
        encryption: an ``sslmode``, or what to check the server's certificate with.

    Raises:
        DestinationRefusedError: the driver is not installed.
    """

    # Twice what can be on its way: the next batches are full when there is room for them.
    parallel = 2 * _FLIGHTS * MOST_ITEMS
    keeps_records = True
    reads_back = True

    def __init__(
        self,
        url: str,
        password: str | None = None,
        encryption: str | ssl.SSLContext = UNVERIFIED,
    ) -> None:
        self.url = url
        self._schema, self._engine = _open(url, password, encryption)
        self._tables = tables_in(self._schema)
        self._ready = False
        self._making = asyncio.Lock()
        self._batches = ItemBatches(
            self._put_all,
            self._read_all,
            most_items=MOST_ITEMS,
            most_bytes=MOST_BYTES,
            most_ids=MOST_ITEMS,
            flights=_FLIGHTS,
        )

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        return await self._batches.put(item)

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        return await self._batches.digest(item_id)

    async def close(self) -> None:
        """See ``Destination``."""
        await self._batches.close()
        await self._engine.dispose()

    async def _put_all(self, items: Sequence[Item]) -> list[Receipt | StopeError]:
        try:
            written = await self._upsert(items)
        except ItemRefusedError as error:
            if len(items) > 1:
                # One of them is to blame; the others go on.
                alone = [await self._put_all([item]) for item in items]
                return [outcome for outcomes in alone for outcome in outcomes]
            return [error]
        return [self._receipt(item, written=item.id in written) for item in items]

    async def _upsert(self, items: Sequence[Item]) -> set[str]:
        """Put items in one transaction; the ids of those that were not there as they are."""
        rows: defaultdict[Table, dict[tuple[str, str], tuple[str, dict[str, object]]]]
        rows = defaultdict(dict)
        for item in items:
            table, collection, name = self._tables.place(item.id)
            row = {"collection": collection, "id": name, **_body(table, item)}
            rows[table][collection, name] = (item.id, row)
        written: set[str] = set()
        async with self._transaction() as connection:
            # In one order for all: two that put the same never wait for each other in turn.
            for table in sorted(rows, key=lambda table: table.name):
                of_table = dict(sorted(rows[table].items()))
                new = await connection.execute(
                    _upserting(table, [row for _, row in of_table.values()])
                )
                written |= {of_table[row.collection, row.id][0] for row in new}
        return written

    async def _read_all(self, item_ids: Sequence[str]) -> list[str | StopeError | None]:
        asked: defaultdict[Table, dict[tuple[str, str], str]] = defaultdict(dict)
        for item_id in item_ids:
            table, collection, name = self._tables.place(item_id)
            asked[table][collection, name] = item_id
        found: dict[str, str] = {}
        async with self._transaction() as connection:
            for table, ids in asked.items():
                key = tuple_(table.c.collection, table.c.id)
                query = select(
                    table.c.collection, table.c.id, digest_in(table).label("digest")
                ).where(key.in_(list(ids)))
                for row in await connection.execute(query):
                    found[ids[row.collection, row.id]] = row.digest
        return [found.get(item_id) for item_id in item_ids]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on tables that are there.

        Raises:
            ItemRefusedError: what a row holds cannot be a row.
            StopeError: anything else that the server or the way to it says.
        """
        try:
            await self._prepare()
            async with self._engine.begin() as connection:
                yield connection
        except TROUBLE as error:
            raise destination_error(error, self._shown) from error

    async def _prepare(self) -> None:
        async with self._making:
            if self._ready:
                return
            async with self._engine.begin() as connection:
                if await connection.run_sync(self._missing):
                    await connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
                    await connection.run_sync(self._make)
            self._ready = True

    def _missing(self, connection: Connection) -> bool:
        there = inspect(connection).get_table_names(schema=self._schema)
        return not {table.name for table in self._tables.metadata.sorted_tables} <= {*there}

    def _make(self, connection: Connection) -> None:
        if not inspect(connection).has_schema(self._schema):
            connection.execute(CreateSchema(self._schema))
        self._tables.metadata.create_all(connection)

    def _receipt(self, item: Item, *, written: bool) -> Receipt:
        table, collection, name = self._tables.place(item.id)
        return Receipt(
            item_id=item.id,
            digest=item.digest,
            location=f"{self._shown}: {table.fullname} {collection} {name}",
            written=written,
        )

    @property
    def _shown(self) -> str:
        """The database, for people."""
        return self.url.partition("?")[0]


def _open(
    url: str, password: str | None, encryption: str | ssl.SSLContext
) -> tuple[str, AsyncEngine]:
    found: URL = make_url(url)
    query = dict(found.query)
    schema = str(query.pop("schema", DEFAULT_SCHEMA))
    query.pop("sslmode", None)
    arguments: dict[str, object] = {
        **_SECONDS,
        "ssl": encryption,
        "server_settings": {"application_name": "stope upload"},
    }
    if password:
        arguments["password"] = password
    try:
        engine = create_async_engine(
            found.set(drivername="postgresql+asyncpg", query=query),
            connect_args=arguments,
            pool_pre_ping=True,
            pool_size=_FLIGHTS,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise DestinationRefusedError(
            "Uploads to PostgreSQL need its driver; install stope with its extra `postgresql`."
        ) from error
    return schema, engine


def _body(table: Table, item: Item) -> dict[str, object]:
    if table.name == REPORT:
        return {"content_type": item.content_type, "body": item.data}
    try:
        text = item.data.decode()
    except UnicodeDecodeError as error:
        raise ItemRefusedError(f"{item.id} is no text, so it cannot be a record.") from error
    if "\0" in text:
        raise ItemRefusedError(f"{item.id} holds NUL, which no text in PostgreSQL does.")
    return {"body": text}


def _upserting(table: Table, rows: Sequence[dict[str, object]]) -> Any:
    """The statement that puts rows, leaves those that are as they should be, and names the rest."""
    statement = insert(table).values(rows)
    given = [name for name in rows[0] if name not in ("collection", "id")]
    return statement.on_conflict_do_update(
        index_elements=[table.c.collection, table.c.id],
        set_={name: statement.excluded[name] for name in given} | {"published_at": func.now()},
        where=or_(*(table.c[name].is_distinct_from(statement.excluded[name]) for name in given)),
    ).returning(table.c.collection, table.c.id)
