"""Rows that no kept run needs: found, counted and deleted in one transaction.

A run notes what it needs before it reads it (``stope.records.uses``), and here nothing is noted
while it is decided what goes: either a note is seen, or the run finds that it has to make the thing
again. What is younger than ``GRACE`` stays in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
)

from stope.carrying import carried_through
from stope.errors import RecordsError, StopeError
from stope.models.job import JobStatus
from stope.models.keeping import Amount, KeepPolicy
from stope.records.database import Database
from stope.records.kept import JobRow, Kept, RunRow, digests_in, kept_of, outputs_in
from stope.records.runs import utc
from stope.records.schema import (
    answer_use,
    claim,
    evidence,
    job,
    job_run,
    lease,
    llm_answer,
    plan,
    run_use,
    unit,
    verdict,
)
from stope.records.uses import ANY, ARTIFACT, PLAN, UNIT

GRACE = timedelta(hours=1)
"""What was made since then stays: whoever made it may be about to say that it is needed."""

_AT_ONCE = 500
_OBJECTS_AT_ONCE = 16
"""As many as go at the same time, in one round: nobody else writes meanwhile."""
_ROWS_AT_ONCE = 50
"""Rows may be large: no more of them are in memory."""

_OPEN = [status.value for status in JobStatus if not status.finished]


@dataclass(frozen=True)
class Sweep:
    """What a sweep of the rows deleted or would delete, and what the rest needs.

    ``needed`` are artifacts; ``inputs`` those of them that jobs start from. Anything made until
    ``unknown_until`` may be needed by runs that did not note what they need.
    """

    jobs: Amount
    runs: Amount
    units: Amount
    plans: Amount
    answers: Amount
    kept: Kept
    unknown: int
    unknown_until: datetime | None
    needed: frozenset[str]
    inputs: frozenset[str]
    open_inputs: frozenset[str]


class KeepingRecords:
    """Clears out the records of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self, policy: KeepPolicy, now: datetime) -> Sweep:
        """Delete the rows that no kept run needs; a dry run takes it all back."""
        return await self._database.transact(partial(self._sweep, policy=policy, now=now))

    async def drop_artifacts(
        self,
        digests: Iterable[str],
        needed: frozenset[str],
        remove: Callable[[Sequence[str]], None],
    ) -> set[str]:
        """Remove artifacts with their rows, unless they are needed by now. Gives what went.

        Writers are kept waiting while a few go, and let in before the next few.

        Args:
            digests: what no row mentioned a moment ago.
            needed: what the records do not say themselves that it is needed.
            remove: deletes objects. Called in a thread, while nobody can note a need of them, so
                that it has to end soon, and with it all that it does.

        Raises:
            StopeError: what ``remove`` raised; nothing more is removed, and nothing was half done.
        """
        gone: set[str] = set()
        for some in _chunks(sorted(set(digests) - needed), _OBJECTS_AT_ONCE):
            gone |= await carried_through(self._drop(some, remove))
        return gone

    async def _drop(
        self, digests: Sequence[str], remove: Callable[[Sequence[str]], None]
    ) -> set[str]:
        def unneeded(connection: Connection) -> set[str]:
            self._hold(connection)
            return set(digests) - _needed_since(connection, digests)

        def forget(connection: Connection) -> None:
            outputs = [f"{noun}-{digest[:16]}" for digest in doomed for noun in _DOCUMENTS]
            for table in (claim, evidence, verdict):
                connection.execute(delete(table).where(table.c.output_id.in_(outputs)))

        failure: StopeError | None = None
        async with self._database.writing() as connection:
            doomed = await connection.run_sync(unneeded)
            try:
                await asyncio.to_thread(remove, sorted(doomed))
            except StopeError as error:
                # Some of them are gone, and nobody needs the rows of any.
                failure = error
            await connection.run_sync(forget)
        if failure is not None:
            raise failure
        return doomed

    async def vacuum(self) -> int | None:
        """Give the space of deleted rows back; says by how many bytes the database got smaller.

        None, and nothing is done, while a run is at work on SQLite: it could write nothing until
        the whole file is written anew.

        Raises:
            RecordsBusyError: SQLite does not get the database for itself, or it takes too long.
        """
        running = select(func.count()).where(job_run.c.status == JobStatus.RUNNING.value)
        if self._database.is_sqlite and (await self._database.fetch(running))[0][0]:
            return None
        before = await self._size()
        async with self._database.reading() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM"))
            if self._database.is_sqlite:
                await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return max(0, before - await self._size())

    async def _size(self) -> int:
        query = (
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
            if self._database.is_sqlite
            else "SELECT pg_database_size(current_database())"
        )
        async with self._database.reading() as connection:
            return int(await connection.scalar(text(query)) or 0)

    def _hold(self, connection: Connection) -> None:
        """From here to the end of the transaction nobody else notes what is needed."""
        # On SQLite the first write makes us the only writer.
        connection.execute(delete(lease).where(lease.c.expires_at < literal(0.0)))
        if not self._database.is_sqlite:
            connection.execute(text("LOCK TABLE run_use, answer_use IN SHARE ROW EXCLUSIVE MODE"))

    def _sweep(self, connection: Connection, policy: KeepPolicy, now: datetime) -> Sweep:
        self._hold(connection)
        jobs, runs = _job_rows(connection), _run_rows(connection)
        kept = kept_of(jobs, runs, policy, now)
        doomed_runs = [run.id for run in runs if run.id not in kept.runs]
        doomed_jobs = [row.id for row in jobs if row.id not in kept.jobs]
        mirrors = func.coalesce(func.length(cast(job_run.c.checkpoint_json, Text)), 0)
        results = func.coalesce(func.length(cast(job.c.result_json, Text)), 0)
        runs_gone = _delete_by_id(connection, job_run, job_run.c.run_id, doomed_runs, mirrors)
        jobs_gone = _delete_by_id(connection, job, job.c.id, doomed_jobs, results)
        for uses in (run_use, answer_use):
            connection.execute(
                delete(uses).where(~exists().where(job_run.c.run_id == uses.c.run_id))
            )
        unknown = select(run_use.c.run_id).where(run_use.c.kind == ANY)
        unknown_ids = set(connection.execute(unknown).scalars())
        unknown_until = _latest_end(runs, unknown_ids, now)

        def unused(table: Table, used: ColumnElement[bool]) -> ColumnElement[bool]:
            old = and_(table.c.created_at < now - GRACE, ~used)
            return old if unknown_until is None else old & (table.c.created_at > unknown_until)

        def of_run(table: Table, kind: str) -> ColumnElement[bool]:
            return exists().where(run_use.c.key == table.c.key, run_use.c.kind == kind)

        size = func.length(llm_answer.c.request_json) + func.length(llm_answer.c.content)
        sweep = Sweep(
            jobs=jobs_gone,
            runs=runs_gone,
            units=_delete(
                connection, unit, unused(unit, of_run(unit, UNIT)), _bytes(unit.c.output)
            ),
            plans=_delete(connection, plan, unused(plan, of_run(plan, PLAN)), _bytes(plan.c.body)),
            answers=_delete(connection, llm_answer, unused(llm_answer, _answer_used()), size),
            kept=kept,
            unknown=len(unknown_ids),
            unknown_until=unknown_until,
            needed=_noted(connection).union(
                *(row.takes | row.gives for row in jobs if row.id in kept.jobs),
                *(run.names for run in runs if run.id in kept.runs),
            ),
            inputs=frozenset().union(*(row.takes for row in jobs if row.id in kept.jobs)),
            open_inputs=frozenset().union(
                *(row.takes for row in jobs if row.status.value in _OPEN)
            ),
        )
        if policy.dry_run:
            connection.rollback()
        else:
            connection.execute(delete(lease).where(lease.c.expires_at < (now - GRACE).timestamp()))
        return sweep


_DOCUMENTS = ("claims", "knowledge")
"""Nouns of the output ids whose rows are in tables."""


def _job_rows(connection: Connection) -> list[JobRow]:
    """All jobs; nobody opens or closes a run of theirs before the transaction ends."""
    query = select(
        job.c.id,
        job.c.status,
        job.c.parent_id,
        cast(job.c.input_json, Text).label("source"),
        cast(job.c.result_json, Text).label("result"),
        job.c.created_at,
    )
    return [
        JobRow(
            row.id,
            JobStatus(row.status),
            row.parent_id,
            digests_in(row.source),
            digests_in(row.result),
            outputs_in(row.result),
            utc(row.created_at),
        )
        for row in _streamed(connection, query.order_by(job.c.id).with_for_update())
    ]


def _run_rows(connection: Connection) -> list[RunRow]:
    query = select(
        job_run.c.run_id,
        job_run.c.job_id,
        job_run.c.attempt,
        job_run.c.status,
        func.coalesce(job_run.c.finished_at, job_run.c.created_at).label("ended_at"),
        cast(job_run.c.checkpoint_json, Text).label("mirror"),
        cast(job_run.c.result_json, Text).label("result"),
    )
    return [
        RunRow(
            row.run_id,
            row.job_id,
            row.attempt,
            JobStatus(row.status),
            utc(row.ended_at),
            digests_in(row.mirror) | digests_in(row.result),
            outputs_in(row.mirror),
        )
        for row in _streamed(connection, query)
    ]


def _streamed(connection: Connection, query: Select[Any]) -> Iterable[Row[Any]]:
    return connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))


def _latest_end(runs: Iterable[RunRow], ids: set[str], now: datetime) -> datetime | None:
    """When the last of some runs ended: now, if one of them may still be at work."""
    ends = [run.ended_at if run.status.finished else now for run in runs if run.id in ids]
    return max(ends, default=None)


def _answer_used() -> ColumnElement[bool]:
    """Whether a run that is there used an answer. Old answers name their job only."""
    return or_(
        exists().where(answer_use.c.answer_id == llm_answer.c.id),
        exists().where(job_run.c.run_id == llm_answer.c.run_id),
        and_(llm_answer.c.run_id.is_(None), exists().where(job.c.id == llm_answer.c.job_id)),
    )


def _noted(connection: Connection) -> frozenset[str]:
    """The artifacts that runs noted a need of."""
    noted = select(run_use.c.key).where(run_use.c.kind == ARTIFACT)
    return frozenset(connection.execute(noted).scalars())


def _needed_since(connection: Connection, digests: Sequence[str]) -> set[str]:
    """What is needed by now of what no row mentioned.

    Whatever a run names it has noted; whoever makes a job notes nothing, but its input names it.
    """
    noted = select(run_use.c.key).where(run_use.c.kind == ARTIFACT, run_use.c.key.in_(digests))
    found = set(connection.execute(noted).scalars())
    for row in _streamed(connection, select(cast(job.c.input_json, Text))):
        found |= digests_in(row[0])
    return found


def _bytes(column: ColumnElement[bytes]) -> ColumnElement[int]:
    return func.length(column)


def _delete_by_id(
    connection: Connection,
    table: Table,
    column: ColumnElement[str],
    ids: Sequence[str],
    size: ColumnElement[int],
) -> Amount:
    gone = Amount()
    for some in _chunks(ids):
        gone += _delete(connection, table, column.in_(some), size)
    return gone


def _delete(
    connection: Connection, table: Table, which: ColumnElement[bool], size: ColumnElement[int]
) -> Amount:
    """Delete rows; says how many and how large they were."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(size), 0)).select_from(table).where(which)
    ).one()
    deleted = connection.execute(delete(table).where(which)).rowcount
    if deleted != row[0]:
        raise RecordsError(
            f"{deleted} rows of {table.name} would go where {row[0]} were counted; nothing was "
            "deleted, try again."
        )
    return Amount(count=deleted, bytes=int(row[1]))


def _chunks(items: Sequence[str], count: int = _AT_ONCE) -> Iterable[Sequence[str]]:
    return (items[first : first + count] for first in range(0, len(items), count))
