"""An answer that a run uses is not deleted under it, whenever somebody clears out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from stope.artifacts import ArtifactStore
from stope.keeping import collect_garbage
from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.llm.ledger import Ledger, LedgerEntry
from stope.llm.scripted import ScriptedChatModel, finished
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.models.keeping import KeepPolicy
from stope.records import schema
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.ledger import Booking, SqlLedgerStore
from tests.builders import Note

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=400)
RUN = "mine-1-run"
NOTE = Note(text="grass").model_dump_json()


class Home:
    """A run at work, and old answers that no run needs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store = SqlLedgerStore(database)
        self._folder = folder

    async def begin(self) -> None:
        jobs = JobRecords(self.database)
        await jobs.create(
            Job(
                id="mine-1",
                type=JobType.MINE,
                input=JobInput(kind=InputKind.TEXT, digest="0" * 64, path="talk.txt"),
                config=JobConfig(),
                status=JobStatus.QUEUED,
                created_at=NOW,
            )
        )
        await jobs.begin_run("mine-1", RUN, "mine-1")

    async def old_answer(self, request: ChatRequest) -> LedgerEntry:
        entry = await self.store.receive(request.key(""), request, finished(NOTE), "mine-gone")
        await self.store.accept(entry.id)
        await self.database.write(update(schema.llm_answer).values(created_at=LONG_AGO))
        return entry

    def of_run(self) -> SqlLedgerStore:
        return self.store.on_account(Booking(RUN, "mine", _costs_nothing))

    async def collect(self) -> None:
        artifacts = ArtifactStore((self._folder / "artifacts").as_uri())
        await collect_garbage(self.database, artifacts, self._folder / "scratch", KeepPolicy())

    async def answers(self) -> set[str]:
        rows = await self.database.fetch(select(schema.llm_answer.c.id))
        return {str(row.id) for row in rows}

    async def uses(self) -> set[str]:
        rows = await self.database.fetch(select(schema.answer_use.c.answer_id))
        return {str(row.answer_id) for row in rows}


class Interrupted(SqlLedgerStore):
    """Somebody clears out between finding an answer and noting that it is used."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.database, Booking(RUN, "mine", _costs_nothing))
        self._home = home

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        found = await super().find(key, since)
        await self._home.collect()
        return found

    async def find_other(self, content_key: str, model: str) -> LedgerEntry | None:
        found = await super().find_other(content_key, model)
        await self._home.collect()
        return found


@pytest.fixture
async def home(database: Database, tmp_path: Path) -> Home:
    home = Home(database, tmp_path)
    await home.begin()
    return home


def _costs_nothing(_answer: ChatAnswer) -> None:
    return None


def _request(text: str, model: str = "scripted:model") -> ChatRequest:
    return ChatRequest(
        model=model,
        messages=(Message(role="user", content=text),),
        schema_name="note",
        answer_schema={},
        max_tokens=50,
    )


async def test_an_answer_that_is_served_is_noted_and_stays(home: Home) -> None:
    served = await home.old_answer(_request("served"))
    left = await home.old_answer(_request("left"))
    assert await home.of_run().serve(served.id, "reused")
    await home.collect()
    assert await home.answers() == {served.id}
    assert not await home.of_run().serve(left.id, "reused")
    assert await home.uses() == {served.id}


async def test_serving_while_somebody_clears_out_notes_what_stays_and_nothing_else(
    home: Home,
) -> None:
    for round_ in range(4):
        entries = [await home.old_answer(_request(f"{round_}.{number}")) for number in range(12)]
        store = home.of_run()
        [_, *served] = await asyncio.gather(
            home.collect(), *(store.serve(entry.id, "reused") for entry in entries)
        )
        there = {entry.id for entry, yes in zip(entries, served, strict=True) if yes}
        ids = {entry.id for entry in entries}
        assert await home.answers() & ids == there
        assert await home.uses() & ids == there


@pytest.mark.parametrize("any_model", [False, True], ids=["its own", "another model's"])
async def test_an_answer_that_went_after_it_was_found_is_asked_for_anew_and_kept(
    home: Home, any_model: bool
) -> None:
    await home.old_answer(_request("grass", "scripted:other" if any_model else "scripted:model"))
    model = ScriptedChatModel([NOTE])
    ledger = Ledger(
        Interrupted(home), model, namespace="", job_id="mine-1", since=NOW, any_model=any_model
    )
    assert await ledger.ask(_request("grass"), Note) == Note(text="grass")
    assert (ledger.spend.calls, ledger.spend.reused, ledger.spend.from_others) == (1, 0, 0)
    # What it went on with is what is there: after a crash right now it is not paid for again.
    assert await home.answers() == await home.uses() != set()
