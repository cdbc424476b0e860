"""Many processes on one database, SQLite and PostgreSQL: nothing lost or doubled, no deadlock."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, text

from stope.errors import RecordsBusyError
from stope.models.job import JobStatus
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.schema import job, job_run, llm_answer, unit
from tests.contract.hammer import JOB, MIRRORED, ROUNDS, Seen, job_of

WORKERS = 4
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def workers(migrated_url: str, database: Database) -> list[Seen]:
    """What the workers saw who began at once, after they have all ended."""
    jobs = JobRecords(database)
    for name in (JOB, "mine-mirrored"):
        await jobs.create(job_of(name))
    await jobs.begin_run("mine-mirrored", MIRRORED, MIRRORED)
    await jobs.write_checkpoint(MIRRORED, 1, -1, {"version": -1})
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.contract.hammer",
            migrated_url,
            str(number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        for number in range(WORKERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    return [Seen.model_validate_json(out) for out, _ in said]


async def test_many_workers_lose_nothing_and_double_nothing(
    workers: list[Seen], database: Database
) -> None:
    assert [error for seen in workers for error in seen.errors] == []

    every = WORKERS * ROUNDS
    runs = await database.fetch(
        select(job_run).where(job_run.c.job_id == JOB).order_by(job_run.c.attempt)
    )
    # One begun by each worker in each round, one begun by all together, one queued by each. Those
    # that wait are taken by whoever begins one first.
    assert [run.attempt for run in runs] == list(range(1, len(runs) + 1))
    assert every + ROUNDS <= len(runs) <= 2 * every + ROUNDS
    begun = Counter(run.temporal_run_id for run in runs if run.temporal_run_id is not None)
    assert set(begun.values()) == {1}
    assert set(begun) == {
        *(f"own-{number}-{turn}" for number in range(WORKERS) for turn in range(ROUNDS)),
        *(f"shared-{turn}" for turn in range(ROUNDS)),
    }
    assert {run.status for run in runs} <= {status.value for status in JobStatus if status.finished}

    jobs = await database.fetch(select(job.c.id))
    assert {row.id for row in jobs} == {
        JOB,
        "mine-mirrored",
        *(f"mine-{turn}" for turn in range(ROUNDS)),
    }

    for seen in workers:
        assert len(seen.versions) == ROUNDS
        assert seen.versions == sorted(seen.versions)
    written = [version for seen in workers for version in seen.written]
    mirrored = await JobRecords(database).get_run(MIRRORED)
    highest = (ROUNDS - 1) * 10 + WORKERS - 1
    assert mirrored.checkpoint == {"version": highest}
    assert max(written) == highest
    assert len(written) == len(set(written))

    outputs = {row.key: bytes(row.output) for row in await database.fetch(select(unit))}
    by = {number: f'{{"by": {number}}}'.encode() for number in range(WORKERS)}
    for number, seen in enumerate(workers):
        assert all(outputs[key] == by[number] for key in seen.committed)
    assert Counter(key for seen in workers for key in seen.committed) == Counter(
        [
            *(f"own-{number}-{turn}" for number in range(WORKERS) for turn in range(ROUNDS)),
            *(f"shared-{turn}" for turn in range(ROUNDS)),
        ]
    )
    assert sum(key.startswith("many-") for key in outputs) == 20 * ROUNDS

    answers = Counter(
        (row.request_key, row.status)
        for row in await database.fetch(select(llm_answer.c.request_key, llm_answer.c.status))
    )
    accepted = Counter(key for seen in workers for key in seen.accepted)
    for turn in range(ROUNDS):
        key = f"request-{turn}"
        assert accepted[key] == answers[key, "accepted"] == 1
        assert answers[key, "rejected"] == WORKERS - 1
    assert await database.fetch(select(func.count()).select_from(llm_answer)) == [(every,)]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_two_transactions_in_each_others_way_are_tried_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A deadlock on purpose: each holds what the other wants."""
    held = [asyncio.Event(), asyncio.Event()]
    locks = (text("SELECT pg_advisory_xact_lock(1)"), text("SELECT pg_advisory_xact_lock(2)"))

    async def one(number: int) -> None:
        async with database.writing() as connection:
            await connection.execute(locks[number])
            held[number].set()
            await held[1 - number].wait()
            await connection.execute(locks[1 - number])

    outcomes = await asyncio.gather(one(0), one(1), return_exceptions=True)
    [error] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(error, RecordsBusyError)
    assert "got into each other's way" in str(error)
    assert "deadlock detected" in str(error)

    tried = 0

    def collide(connection: Connection) -> int:
        nonlocal tried
        tried += 1
        if tried == 1:
            connection.execute(
                text("DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$")
            )
        return tried

    assert await database.transact(collide) == 2
    assert "conflict" in caplog.text
