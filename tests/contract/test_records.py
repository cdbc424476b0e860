"""Units, answers, claims and digests in the records: on SQLite, PostgreSQL and in memory."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import select, text

import stope.records.sources
from stope.errors import RecordsBusyError
from stope.identity import digest_bytes, digest_file
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.ledger import LedgerStore
from stope.llm.scripted import finished
from stope.models.knowledge import MinedClaims
from stope.records import schema
from stope.records.database import Database
from stope.records.knowledge import KnowledgeRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.sources import SourceDigests
from stope.records.units import SqlUnitStore
from stope.units import UnitStore
from tests.builders import claim_of
from tests.memory import MemoryLedgerStore, MemoryUnitStore

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=10_000)
REQUEST = ChatRequest(
    model="scripted:model",
    messages=(Message(role="user", content="grass"),),
    schema_name="colour",
    answer_schema={"type": "object"},
    max_tokens=50,
)
with_memory = pytest.mark.parametrize("engine", ["memory", "sqlite", "postgresql"], indirect=True)


@pytest.fixture
def units(engine: str, request: pytest.FixtureRequest) -> UnitStore:
    if engine == "memory":
        return MemoryUnitStore()
    return SqlUnitStore(request.getfixturevalue("database"))


@pytest.fixture
def ledger(engine: str, request: pytest.FixtureRequest) -> LedgerStore:
    if engine == "memory":
        return MemoryLedgerStore()
    return SqlLedgerStore(request.getfixturevalue("database"))


async def receive(ledger: LedgerStore, content: str, key: str = "k") -> str:
    return (await ledger.receive(key, REQUEST, finished(content), "mine-1")).id


@with_memory
async def test_a_unit_output_is_committed_once_and_a_late_one_does_nothing(
    units: UnitStore,
) -> None:
    await units.commit("key", "mine", '{"text":"ü 🐝"}', 1.5)
    await units.commit("key", "mine", '{"text":"late"}', 2.5)
    await asyncio.gather(*(units.commit("other", "mine", f"{n}", 0) for n in range(4)))
    found = await units.read_outputs(["key", "absent", "other"])
    assert found.keys() == {"key", "other"}
    assert found["key"] == '{"text":"ü 🐝"}'
    assert await units.read_outputs([]) == {}


@with_memory
async def test_more_keys_than_a_statement_takes_are_read(units: UnitStore) -> None:
    for number in (0, 1, 499, 500, 1200):
        await units.commit(f"key{number}", "mine", str(number), 0)
    found = await units.read_outputs([f"key{number}" for number in range(1201)])
    assert set(found.values()) == {"0", "1", "499", "500", "1200"}


@with_memory
async def test_a_plan_is_immutable(units: UnitStore) -> None:
    assert await units.read_plan("plan") is None
    await units.write_plan("plan", "mine", '["ä"]')
    await units.write_plan("plan", "mine", '["b"]')
    assert await units.read_plan("plan") == '["ä"]'


@with_memory
async def test_only_one_answer_to_a_request_is_accepted(ledger: LedgerStore) -> None:
    first, second = await receive(ledger, "first"), await receive(ledger, "second")
    await ledger.accept(second)
    await ledger.accept(first)
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert (entry.id, entry.status, entry.answer.content) == (second, "accepted", "second")


@with_memory
async def test_an_accepted_answer_comes_before_an_unjudged_one_before_a_rejected_one(
    ledger: LedgerStore,
) -> None:
    async def status() -> str | None:
        entry = await ledger.find("k", LONG_AGO)
        return entry and entry.status

    assert await status() is None
    accepted, rejected = await receive(ledger, "good"), await receive(ledger, "bad")
    await ledger.reject(rejected, "does not fit")
    assert await status() == "received"
    await ledger.reject(await receive(ledger, "worse"), "does not fit either")
    await ledger.accept(accepted)
    assert await status() == "accepted"


@with_memory
async def test_a_rejected_answer_is_found_only_by_the_run_that_got_it(ledger: LedgerStore) -> None:
    for content in ("bad", "worse"):
        await ledger.reject(await receive(ledger, content), f"{content} does not fit")
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert (entry.status, entry.reason) == ("rejected", "worse does not fit")
    assert await ledger.find("k", NOW + timedelta(days=10_000)) is None
    assert await ledger.find("other", LONG_AGO) is None


@with_memory
@pytest.mark.parametrize("content", ["", "ünï 🐝", "a\0b", "\ud800"], ids=ascii)
async def test_an_answer_is_kept_whatever_the_model_says(
    ledger: LedgerStore, content: str, engine: str, request: pytest.FixtureRequest
) -> None:
    answer = ChatAnswer(
        content=content, finish_reason="stop", prompt_tokens=3, completion_tokens=0, latency=0.5
    )
    await ledger.receive("k", REQUEST, answer, "mine-1")
    entry = await ledger.find("k", LONG_AGO)
    assert entry is not None
    assert entry.answer == answer


@pytest.mark.parametrize("words", ["Bees matter.", "Bees\0matter."], ids=ascii)
async def test_results_are_written_as_rows_once(
    database: Database, words: str, engine: str, request: pytest.FixtureRequest
) -> None:
    claims = (claim_of(words), claim_of("Nobody said this.", grounded=False))
    mined = MinedClaims(transcript_digest="0" * 64, model="m", segments=1, claims=claims)
    records = KnowledgeRecords(database)
    for _ in range(2):
        await records.write_claims("claims-1", mined)
    async with database.reading() as connection:
        query = select(schema.evidence.c.claim_id, schema.evidence.c.score)
        rows = {row.claim_id: row.score for row in await connection.execute(query)}
    assert rows == {claims[0].id: 100, claims[1].id: 0}


async def test_an_unchanged_file_is_not_read_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sources, read = tmp_path / "talk.opus", SourceDigests(database), list[Path]()

    def noted(path: Path) -> str:
        read.append(path)
        return digest_file(path)

    monkeypatch.setattr(stope.records.sources, "digest_file", noted)
    path.write_bytes(b"one")
    assert await sources.digest(path) == await sources.digest(path) == digest_bytes(b"one")
    assert read == [path]


@pytest.mark.parametrize("change", ["longer", "same size", "same size and time"])
async def test_a_changed_file_is_read_again(
    database: Database, tmp_path: Path, change: str
) -> None:
    path, sources = tmp_path / "talk.opus", SourceDigests(database)
    path.write_bytes(b"one")
    before = path.stat()
    await sources.digest(path)
    content = b"longer" if change == "longer" else b"two"
    if change == "same size and time":
        # As `mv` does, or an editor that writes a new file and moves it into the place of the old.
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(path)
    else:
        path.write_bytes(content)
    moved = 1 if change == "same size" else 0
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + moved))
    assert await sources.digest(path) == digest_bytes(content)


async def test_a_file_may_be_digested_by_many_at_once(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    request: pytest.FixtureRequest,
) -> None:
    path, sources, all_have_read = tmp_path / "talk.opus", SourceDigests(database), Barrier(4)

    def together(path: Path) -> str:
        all_have_read.wait(timeout=30)
        return digest_file(path)

    monkeypatch.setattr(stope.records.sources, "digest_file", together)
    path.write_bytes(b"one")
    digests = await asyncio.gather(*(sources.digest(path) for _ in range(4)))
    assert set(digests) == {digest_bytes(b"one")}


# SQLite has no connections that somebody else could end.
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_connection_that_is_ended_is_tried_again_later(database: Database) -> None:
    async def work() -> None:
        async with database.writing() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            async with database.reading() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            await connection.execute(text("SELECT 1"))

    with pytest.raises(RecordsBusyError, match="tried again"):
        await work()
    assert await SqlUnitStore(database).read_outputs(["key"]) == {}
