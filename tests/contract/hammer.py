"""One of many workers on one database: does what workers do, and says what it saw.

``python -m tests.contract.hammer URL NUMBER`` says "ready", waits for a line, and answers in JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pydantic import BaseModel

from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.schema import unit
from stope.records.units import SqlUnitStore

ROUNDS = 12
JOB = "mine-hammered"
MIRRORED = "mirrored"
LONG_AGO = datetime(2030, 1, 1, tzinfo=UTC)
REQUEST = ChatRequest(
    model="scripted:model",
    messages=(Message(role="user", content="What is claimed?"),),
    schema_name="claims",
    answer_schema={},
    max_tokens=100,
)


class Seen(BaseModel):
    """What one worker saw."""

    created: list[str] = []
    versions: list[int] = []
    written: list[int] = []
    committed: list[str] = []
    accepted: list[str] = []
    finished: list[str] = []
    errors: list[str] = []


class Hammer:
    """One worker with an engine of its own."""

    def __init__(self, database: Database, number: int) -> None:
        self.seen = Seen()
        self._number = number
        self._database = database
        self._jobs = JobRecords(database)
        self._units = SqlUnitStore(database)
        self._ledger = SqlLedgerStore(database)

    async def strike(self, turn: int) -> None:
        """Everything at once; an error is kept, not raised."""
        strikes: list[Callable[[int], Awaitable[None]]] = [
            self._create,
            self._run,
            self._shared_run,
            self._queue,
            self._mirror,
            self._commit,
            self._commit_many,
            self._answer,
        ]
        for outcome in await asyncio.gather(
            *(strike(turn) for strike in strikes), return_exceptions=True
        ):
            if isinstance(outcome, BaseException):
                self.seen.errors.append(f"{type(outcome).__name__}: {outcome}")

    async def _create(self, turn: int) -> None:
        created = await self._jobs.create(job_of(f"mine-{turn}"))
        self.seen.created.append(created.id)

    async def _run(self, turn: int) -> None:
        run = await self._jobs.begin_run(JOB, f"own-{self._number}-{turn}", JOB)
        good = (self._number + turn) % 2 == 0
        status = JobStatus.SUCCEEDED if good else JobStatus.FAILED
        await self._jobs.finish_run(run.run_id, status, result={"n": 1} if good else None)
        self.seen.finished.append(run.run_id)

    async def _shared_run(self, turn: int) -> None:
        """Everybody opens the same run, and closes it."""
        run = await self._jobs.begin_run(JOB, f"shared-{turn}", JOB)
        await self._jobs.finish_run(run.run_id, JobStatus.FAILED, error_code="Hammered")

    async def _queue(self, turn: int) -> None:
        """A run that waits may be begun by one while another ends it."""
        run = await self._jobs.create_run(JOB, JOB)
        await self._jobs.finish_run(run.run_id, JobStatus.CANCELLED)

    async def _mirror(self, turn: int) -> None:
        version = turn * 10 + self._number
        if await self._jobs.write_checkpoint(MIRRORED, 1, version, {"version": version}):
            self.seen.written.append(version)
        run = await self._jobs.get_run(MIRRORED)
        self.seen.versions.append(int(str((run.checkpoint or {})["version"])))

    async def _commit(self, turn: int) -> None:
        for key in (f"own-{self._number}-{turn}", f"shared-{turn}"):
            if await self._units.commit(key, "mine", f'{{"by": {self._number}}}', 1.0):
                self.seen.committed.append(key)

    async def _commit_many(self, turn: int) -> None:
        """Half of the workers go through the same rows the other way round."""
        order = range(20) if self._number % 2 else range(19, -1, -1)
        rows = [
            {
                "key": f"many-{turn}-{place}",
                "stage": "mine",
                "output": b"{}",
                "seconds": 0.0,
                "created_at": datetime.now(UTC),
            }
            for place in order
        ]
        await self._database.insert_new(unit, rows)

    async def _answer(self, turn: int) -> None:
        answer = ChatAnswer(content=f"from {self._number}", finish_reason="stop", latency=0.1)
        entry = await self._ledger.receive(f"request-{turn}", REQUEST, answer, JOB)
        if (self._number + turn) % 3 == 0:
            await self._ledger.reject(entry.id, "hammered")
        elif await self._ledger.accept(entry.id):
            self.seen.accepted.append(f"request-{turn}")


def job_of(name: str) -> Job:
    """A job by its id."""
    return Job(
        id=name,
        type=JobType.MINE,
        input=JobInput(kind=InputKind.TEXT, digest="0" * 64, path="/talk.txt"),
        config=JobConfig(miner_model="scripted:model"),
        status=JobStatus.QUEUED,
        created_at=LONG_AGO,
    )


async def _hammer(url: str, number: int) -> Seen:
    database = Database(url)
    hammer = Hammer(database, number)
    try:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        for turn in range(ROUNDS):
            await hammer.strike(turn)
    finally:
        await database.close()
    return hammer.seen


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(_hammer(sys.argv[1], int(sys.argv[2]))).model_dump_json())
