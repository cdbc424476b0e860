"""A real PostgreSQL as a destination: a row for each record, put by its id, and nothing else."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
)
from stope.identity import canonical_json
from stope.models.upload import Item
from stope.upload.items import records_of
from stope.upload.places import place_url
from stope.upload.postgresql import PostgresDestination
from tests.certificates import own_certificate
from tests.contract.conftest import PostgresServer
from tests.documents import TALK_DOCUMENT, hostile_document
from tests.object_servers import free_port

ITEMS = records_of(TALK_DOCUMENT, "knowledge-1")

Query = Callable[..., Awaitable[list[Any]]]


def record(name: str, **fields: object) -> Item:
    data = canonical_json({"id": name, **fields}).encode()
    return Item(id=f"knowledge-1/claims/{name}", content_type="application/json", data=data)


@pytest.fixture
async def destination(database_place: str) -> AsyncIterator[PostgresDestination]:
    found = PostgresDestination(database_place)
    yield found
    await found.close()


@pytest.fixture
async def query(database_place: str) -> AsyncIterator[Query]:
    """Does a statement as somebody else, and gives the rows of a query."""
    url = make_url(database_place).difference_update_query(["schema"])
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))

    async def do(statement: str, **values: object) -> list[Any]:
        async with engine.begin() as connection:
            found = await connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

    yield do
    await engine.dispose()


async def put_all(destination: PostgresDestination, items: Sequence[Item]) -> list[bool]:
    receipts = await asyncio.gather(*map(destination.put, items))
    return [receipt.written for receipt in receipts]


async def test_every_record_is_a_row_with_its_fields_and_every_export_a_file(
    destination: PostgresDestination, query: Query
) -> None:
    assert all(await put_all(destination, ITEMS))
    claims = await query(
        "SELECT id, rank, tier, decision, text, record->'evidence'->>0 FROM stope.claims "
        "WHERE collection = 'knowledge-1' ORDER BY rank"
    )
    assert [row[1:5] for row in claims] == [
        (1, "A", "accept", "Roofs lose heat"),
        (2, "B", "accept", "Pumps save"),
        (3, "C", "reject", "Bob thinks"),
    ]
    assert claims[0][5] == f"{claims[0][0]}.1"
    assert await query("SELECT speaker_name, start_seconds, text FROM stope.transcript") == [
        ("ANN", 1.0, "Roofs lose most heat."),
        ("BOB", 2.6, "Pumps save money. I think."),
    ]
    assert await query("SELECT claim_id, quote FROM stope.evidence ORDER BY id") == [
        (claims[0][0], "Roofs lose most heat."),
        (claims[1][0], "Pumps save money."),
    ]
    assert await query("SELECT title, record->'records'->>'claims' FROM stope.publication") == [
        ("talk.opus", "3")
    ]
    files = dict(await query("SELECT id, body FROM stope.report"))
    assert files == {item.name: item.data for item in ITEMS if item.id.count("/") == 1}
    assert "report.html" in files


async def test_text_that_would_like_to_be_code_is_a_row(
    destination: PostgresDestination, query: Query
) -> None:
    items = records_of(hostile_document(), "knowledge-2")
    await put_all(destination, items)
    found = [await destination.digest(item.id) for item in items]
    assert found == [item.digest for item in items]
    document = hostile_document()
    assert document.knowledge is not None
    [(name,)] = await query("SELECT name FROM stope.people")
    assert name == document.knowledge.entities[0].name.replace("\0", "\ufffd")


async def test_a_repeat_writes_nothing_and_a_change_one_row(
    destination: PostgresDestination, query: Query
) -> None:
    await put_all(destination, ITEMS)
    before = await query("SELECT id, xmin::text, published_at FROM stope.claims ORDER BY id")
    assert not any(await put_all(destination, ITEMS))
    assert before == await query(
        "SELECT id, xmin::text, published_at FROM stope.claims ORDER BY id"
    )
    changed = record(before[0][0], text="Other words")
    assert await put_all(destination, [changed, *ITEMS[1:]]) == [True, *[False] * (len(ITEMS) - 1)]
    after = await query("SELECT id, xmin::text, published_at FROM stope.claims ORDER BY id")
    assert after[1:] == before[1:]
    assert after[0] != before[0]


async def test_what_somebody_changes_there_is_noticed(
    destination: PostgresDestination, query: Query
) -> None:
    await put_all(destination, ITEMS)
    claims = [item for item in ITEMS if "/claims/" in item.id]
    await query("UPDATE stope.claims SET body = replace(body, 'Roofs', 'Walls') WHERE rank = 1")
    await query("DELETE FROM stope.claims WHERE rank = 2")
    await query("UPDATE stope.report SET body = 'mine' WHERE id = 'report.html'")
    found = [await destination.digest(item.id) for item in claims]
    assert found[0] not in (None, claims[0].digest)
    assert found[1:] == [None, claims[2].digest]
    assert await destination.digest("knowledge-1/report.html") is not None
    # What a row shows is made from its body: nobody can change the one without the other.
    with pytest.raises(DBAPIError, match="can only be updated to DEFAULT"):
        await query("UPDATE stope.claims SET text = 'Other words' WHERE rank = 3")
    assert await put_all(destination, claims) == [True, True, False]
    assert [await destination.digest(item.id) for item in claims] == [
        item.digest for item in claims
    ]


@pytest.mark.parametrize("schema", ["news", "Select", "_1"])
async def test_each_schema_has_tables_of_its_own(
    database_place: str, query: Query, schema: str
) -> None:
    other = PostgresDestination(
        place_url(database_place.replace("schema=stope", f"schema={schema}"))
    )
    assert await other.digest(ITEMS[0].id) is None
    assert (await other.put(ITEMS[0])).written
    await other.close()
    rows = f'SELECT collection FROM "{schema}".claims'  # noqa: S608  (a name of this test)
    assert await query(rows) == [("knowledge-1",)]
    schemas = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'stope'"
    assert await query(schemas) == [(0,)]


async def test_two_that_begin_at_once_make_the_tables_once(database_place: str) -> None:
    some = [PostgresDestination(database_place) for _ in range(4)]
    written = await asyncio.gather(*(put_all(one, ITEMS) for one in some))
    assert sum(map(sum, written)) == len(ITEMS)
    for one in some:
        await one.close()


async def test_a_record_that_can_be_no_row_is_refused_and_the_others_go_on(
    destination: PostgresDestination, query: Query
) -> None:
    items = [
        record("clm_1", rank=1),
        record("clm_2", rank="the highest"),
        record("clm_3", text="a\0b"),
        record("clm_4").model_copy(update={"data": b"no JSON"}),
        record("clm_5").model_copy(update={"data": b"\xff"}),
        record("clm_6", rank=6),
    ]
    outcomes = await asyncio.gather(*map(destination.put, items), return_exceptions=True)
    refused = [isinstance(outcome, ItemRefusedError) for outcome in outcomes]
    assert refused == [False, True, True, True, True, False]
    assert await query("SELECT id FROM stope.claims ORDER BY id") == [("clm_1",), ("clm_6",)]


async def test_who_may_not_write_is_told_so(
    postgres: PostgresServer, database_place: str, destination: PostgresDestination
) -> None:
    await destination.put(ITEMS[0])
    postgres.psql("DROP ROLE IF EXISTS reader")
    postgres.psql("CREATE ROLE reader LOGIN")
    reader = PostgresDestination(database_place.replace("postgres@", "reader@"))
    with pytest.raises(DestinationRefusedError, match=r"does not let us .*permission denied"):
        await reader.put(ITEMS[1])
    await reader.close()


@pytest.fixture
def guarded_place(postgres: PostgresServer, database_place: str) -> str:
    """The same for a user who needs a password, which is "hush"."""
    [rules] = re.findall(r"/\S+pg_hba\.conf", postgres.psql("SHOW hba_file"))
    rule, path = "local all ann scram-sha-256\n", Path(rules)
    if not path.read_text().startswith(rule):
        path.write_text(rule + path.read_text())
        postgres.psql("CREATE ROLE ann LOGIN PASSWORD 'hush'")
        postgres.psql("SELECT pg_reload_conf()")
    postgres.psql(f"GRANT CREATE ON DATABASE {make_url(database_place).database} TO ann")
    return database_place.replace("postgres@", "ann@")


async def test_the_password_comes_from_the_settings_or_from_where_postgresql_has_it(
    guarded_place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    for password in (None, "wrong-one"):
        destination = PostgresDestination(guarded_place, password)
        with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_PASSWORD") as caught:
            await destination.put(ITEMS[0])
        assert "wrong-one" not in str(caught.value)
        await destination.close()
    monkeypatch.setenv("PGPASSWORD", "wrong-one")
    destination = PostgresDestination(guarded_place, "hush")
    receipt = await destination.put(ITEMS[0])
    assert "hush" not in receipt.model_dump_json()
    await destination.close()
    monkeypatch.setenv("PGPASSWORD", "hush")
    destination = PostgresDestination(guarded_place)
    assert (await destination.put(ITEMS[1])).written
    await destination.close()


async def test_a_database_that_is_not_there_is_told_so(database_place: str) -> None:
    name = str(make_url(database_place).database)
    destination = PostgresDestination(database_place.replace(name, "nosuch"))
    with pytest.raises(DestinationRefusedError, match="nosuch"):
        await destination.put(ITEMS[0])
    await destination.close()


async def test_tables_of_somebody_else_are_left_alone(
    destination: PostgresDestination, query: Query
) -> None:
    await query("CREATE SCHEMA stope")
    await query("CREATE TABLE stope.claims (mine text)")
    with pytest.raises(DestinationRefusedError, match=r"name another schema with \?schema="):
        await destination.put(ITEMS[0])
    assert await query("SELECT count(*) FROM stope.claims") == [(0,)]


async def test_a_server_that_is_not_there_may_come_back() -> None:
    place = place_url(f"postgresql://ann@127.0.0.1:{free_port()}/news")
    destination = PostgresDestination(place, "a secret")
    with pytest.raises(DestinationUnavailableError, match="does not answer") as caught:
        await destination.put(ITEMS[0])
    assert "a secret" not in str(caught.value)
    await destination.close()


async def test_connections_that_were_cut_are_made_anew(
    destination: PostgresDestination, query: Query
) -> None:
    await destination.put(ITEMS[0])
    await query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'stope upload'"
    )
    assert all(await put_all(destination, ITEMS[1:]))


@asynccontextmanager
async def pretending(tls: ssl.SSLContext | None) -> AsyncIterator[tuple[str, bytearray]]:
    """The URL of somebody who would like a password, and all that he hears."""
    heard = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(8))
        writer.write(b"S" if tls else b"N")
        with suppress(OSError, ssl.SSLError):
            if tls:
                await writer.start_tls(tls)
                heard.extend(await reader.read(1000))
                # "Tell me the password as it is."
                writer.write(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
            heard.extend(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield place_url(f"postgresql://ann@127.0.0.1:{port}/news"), heard


@pytest.mark.parametrize(
    ("speaks_tls", "said"), [(False, "speaks no TLS"), (True, r"cannot prove who .*PGSSLROOTCERT")]
)
async def test_a_password_goes_to_nobody_who_cannot_prove_who_he_is(
    tmp_path: Path, speaks_tls: bool, said: str
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own_certificate(tmp_path / "certificate.pem"))
    async with pretending(tls if speaks_tls else None) as (place, heard):
        destination = PostgresDestination(place, "a secret", ssl.create_default_context())
        with pytest.raises(DestinationRefusedError, match=said) as caught:
            await destination.put(ITEMS[0])
        assert "a secret" not in str(caught.value)
        await destination.close()
        # It was there, and was spoken to.
        assert heard
        assert b"a secret" not in heard
        # This is what it would have heard else.
        if speaks_tls:
            careless = PostgresDestination(place, "a secret", "require")
            with pytest.raises(DestinationUnavailableError):
                await careless.put(ITEMS[0])
            await careless.close()
            assert b"a secret" in heard
