"""One database: engine, pragmas, migrations, error translation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Insert,
    Row,
    Select,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from stope.errors import RecordsBusyError, RecordsError, StopeError, UsageError
from stope.records.schema import HEAD
from stope.records.sqlite import SqliteThreads
from stope.records.wal import use_wal

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds SQLite waits for another writer before it says 'locked'."""

PERSIST_SECONDS = 60.0
"""How long a finished output is held in memory while its database is busy."""

_SERVER_SECONDS = {"timeout": 15.0, "command_timeout": 120.0}
"""How long PostgreSQL may take to let us in, and for one statement: a connection whose other end is
gone says nothing."""

_TROUBLE = (DBAPIError, OSError, NoConnectionError)
"""What the driver raises, and the pool that has no connection left."""

_COLLISIONS = {"40P01", "40001", "55P03"}
"""PostgreSQL's codes for a deadlock, a serialization failure and a lock that is not to be had."""
_PASSING = ("08", "53", "57", "58", "25006")
"""How PostgreSQL's codes begin for what passes: connections that broke, resources that ran out, an
operator who intervenes, the system's own errors, and a server that is no primary just now."""
_DISK_FULL = "53100"


class Database:
    """An async engine on SQLite (WAL, synchronous=FULL) or PostgreSQL.

    Args:
        url: a SQLAlchemy URL without driver (``sqlite:///file``, ``postgresql://…``) or with
            ``aiosqlite`` or ``asyncpg``.
    """

    def __init__(self, url: str) -> None:
        self.url = _with_async_driver(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _prepare_folder(self.url)
            self._engine = create_async_engine(
                self.url, connect_args={"timeout": BUSY_TIMEOUT}, pool_size=8
            )
            event.listen(self._engine.sync_engine, "connect", _sqlite_pragmas(self.url))
            self._threads = self._new_threads()
        else:
            try:
                self._engine = create_async_engine(
                    self.url, connect_args=_SERVER_SECONDS, pool_pre_ping=True, pool_size=10
                )
            except ModuleNotFoundError as error:
                raise UsageError(
                    "STOPE_DATABASE_URL names a PostgreSQL database, whose driver is not "
                    "installed; install stope with its extra `postgresql`."
                ) from error

    @property
    def engine(self) -> AsyncEngine:
        """The SQLAlchemy engine, for migrations and tests."""
        return self._engine

    def _new_threads(self) -> SqliteThreads:
        return SqliteThreads(partial(_blocking_engine, self.url))

    async def close(self) -> None:
        """Give all connections back. Whoever uses it afterwards opens new ones."""
        if self.is_sqlite:
            ended, self._threads = self._threads, self._new_threads()
            await asyncio.to_thread(ended.close)
        await self._engine.dispose()

    async def migrate(self) -> None:
        """Bring the schema to ``HEAD``; returns at once when it is there."""
        found = await self._revision()
        if found == HEAD:
            return
        # Imported here: Alembic costs 0.2 s that a cached answer must not pay.
        from stope.records.migrate import known_revisions, upgrade

        if found is not None and found not in known_revisions():
            raise RecordsError(
                f"The records at {self.display_url} have schema {found}, this program needs "
                f"{HEAD}: they were written by a newer version. Upgrade Stope, or set "
                "STOPE_DATABASE_URL to another database."
            )
        log.info("records: bringing %s to schema %s", self.display_url, HEAD)
        await asyncio.to_thread(upgrade, self.url)

    @property
    def display_url(self) -> str:
        """Where the records are, for people: the file, or the URL without what may be secret."""
        if self.is_sqlite:
            return self.url.database or ""
        # A password may stand among the parameters too.
        return self.url.set(query={}).render_as_string()

    async def _revision(self) -> str | None:
        async with self.reading() as connection:
            try:
                row = await connection.execute(text("SELECT version_num FROM alembic_version"))
            except (OperationalError, ProgrammingError) as error:
                if _says(error, "no such table", "does not exist"):
                    return None
                raise
            return row.scalar_one_or_none()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading. Driver errors come out as ours."""
        try:
            async with self._engine.connect() as connection:
                yield connection
        except _TROUBLE as error:
            raise self._translate(error) from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed on success. Driver errors come out as ours.

        Raises:
            IntegrityError: a constraint forbids the write, which is the caller's business.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except _TROUBLE as error:
            raise self._translate(error) from error

    async def fetch(
        self, query: Select[Any], given: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """All rows of a query: what ``reading`` gives, without a hop to a thread for every step.

        ``given`` are the values of its named parameters.
        """

        def read(connection: Connection) -> Sequence[Row[Any]]:
            return connection.execute(query, given).all()

        try:
            if self.is_sqlite:
                return await self._threads.read(read)
            async with self._engine.connect() as connection:
                return await connection.run_sync(read)
        except _TROUBLE as error:
            raise self._translate(error) from error

    async def transact(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Do a transaction that may be repeated, and give what it gives once it is committed.

        What is written may have cost money: while the database is busy, or when another transaction
        got in the way, it is tried again for a minute before ``RecordsBusyError`` comes out.

        Args:
            work: statements on a connection; it waits for nothing else.
            durable: False for what may be forgotten when SQLite's machine goes down, and with it
                everybody who uses the database: no wait for the disk then. Nothing is forgotten
                when a process ends, nor once a later durable transaction is committed.

        Raises:
            IntegrityError: a constraint forbids the write, which is the caller's business.
        """
        try:
            return await self.transact_once(work, durable=durable)
        except RecordsBusyError as error:
            log.warning("%s", error)
        return await self._insist(work, durable)

    async def transact_once(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Do as ``transact`` does, but without insisting: whoever asks can wait, or do without.

        Raises:
            RecordsBusyError: the database is busy.
            IntegrityError: a constraint forbids the write, which is the caller's business.
        """
        try:
            if self.is_sqlite:
                return await self._threads.write(work, durable=durable)
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)
        except IntegrityError:
            raise
        except _TROUBLE as error:
            raise self._translate(error) from error

    async def insert_new(self, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows, leaving those whose key exists as they are; insists as ``transact`` does."""
        if not rows:
            return
        statement = self.inserting(table)
        # In the order of their keys: two that insert the same never wait for each other in turn.
        names = [column.name for column in table.primary_key]
        ordered = sorted(rows, key=lambda row: [str(row[name]) for name in names])

        def insert(connection: Connection) -> None:
            connection.execute(statement, ordered)

        await self.transact(insert)

    def inserting(self, table: Table) -> Insert:
        """The statement that inserts rows, or leaves those whose key exists as they are.

        The rows are given where it is executed: a statement that holds one is made and looked
        through anew for each, which takes longer than the insert.
        """
        return _inserting(table, self.is_sqlite)

    async def write(self, *statements: Executable) -> None:
        """Execute statements that may be repeated, in one transaction; see ``transact``."""

        def execute(connection: Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        await self.transact(execute)

    async def _insist(self, work: Callable[[Connection], T], durable: bool) -> T:
        return await AsyncRetrying(
            retry=retry_if_exception_type(RecordsBusyError),
            wait=wait_exponential(multiplier=0.1, max=5) + wait_random(0, 0.05),
            stop=stop_after_delay(PERSIST_SECONDS),
            before_sleep=_say_why,
            reraise=True,
        )(self.transact_once, work, durable=durable)

    def _translate(self, error: Exception) -> StopeError:
        where = self.display_url
        state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
        if state.startswith(_PASSING) and state != _DISK_FULL:
            return RecordsBusyError(
                f"The records at {where} do not answer as they should ({state}): "
                f"{_first_line(error)}; they are tried again."
            )
        if isinstance(error, NoConnectionError):
            return RecordsBusyError(
                f"All connections to the records at {where} are in use; they are tried again."
            )
        if _says(error, "readonly", "read-only"):
            # SQLite gives its two side files the modes of the database, read-only ones included.
            files = f"{where}, {where}-wal, {where}-shm" if self.is_sqlite else "the database"
            return RecordsError(
                f"The records at {where} are read-only; make {files} and their folder writable, "
                "or set STOPE_DATABASE_URL or STOPE_HOME to another place."
            )
        if _says(error, "disk is full", "disk full", "no space left"):
            return RecordsBusyError(
                f"The disk that holds the records ({where}) is full; free some space and the "
                "work goes on."
            )
        if _says(error, "disk i/o error"):
            return RecordsBusyError(
                f"The records at {where} cannot be read or written (disk I/O error): the disk may "
                "be full, over its quota or failing; mend that and the work goes on."
            )
        if _says(error, "locked", "busy"):
            return RecordsBusyError(
                f"The records at {where} are locked by another program; the work goes on once it "
                "lets go, or end that program."
            )
        if state in _COLLISIONS:
            return RecordsBusyError(
                f"Two transactions on the records at {where} got into each other's way: "
                f"{_first_line(error)}; the work goes on."
            )
        if _says(error, "not a database", "malformed"):
            return RecordsError(
                f"The file of the records ({where}) is not a sound SQLite database; restore it "
                "from a backup or move it away."
            )
        if _says(error, "unable to open"):
            return RecordsError(
                f"The records at {where} cannot be opened; check that the file and its folder "
                "are readable and writable."
            )
        if _says(error, "password authentication", "does not exist") and not self.is_sqlite:
            return RecordsError(
                f"The records at {where} refused us: {_first_line(error)}; check "
                "STOPE_DATABASE_URL."
            )
        if isinstance(error, (OSError, OperationalError, InterfaceError)) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            return RecordsBusyError(
                f"The records at {where} do not answer: {_first_line(error)}; they are tried again."
            )
        return RecordsError(f"The records at {where} failed: {_first_line(error)}.")


@cache
def _inserting(table: Table, is_sqlite: bool) -> Insert:
    # Made once: to make a statement takes as long as to execute it.
    if is_sqlite:
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def _blocking_engine(url: URL, synchronous: str, connections: int) -> Engine:
    """An engine on a SQLite file for threads of ours."""
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        connect_args={"timeout": BUSY_TIMEOUT},
        pool_size=connections,
    )
    event.listen(engine, "connect", _sqlite_pragmas(url, synchronous))
    return engine


def _with_async_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise UsageError(
            "STOPE_DATABASE_URL is not a database URL; write sqlite:////folder/records.db or "
            "postgresql://user@host/name."
        ) from error
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise UsageError(
            f"STOPE_DATABASE_URL names a {backend} database; SQLite and PostgreSQL are supported."
        )
    return parsed.set(drivername=drivers[backend])


def _prepare_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise UsageError(
            "STOPE_DATABASE_URL must name a SQLite file: sqlite:////folder/records.db."
        )
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} for the records cannot be made ({error.strerror}); set "
            "STOPE_HOME to a place you can write to."
        ) from error


def _sqlite_pragmas(url: URL, synchronous: str = "FULL") -> Callable[[object, object], None]:
    """What is set on every connection to a SQLite file."""
    first = True

    def set_pragmas(connection: object, _record: object) -> None:
        nonlocal first
        if first:
            use_wal(url.database or "", BUSY_TIMEOUT)
            first = False
        cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI has no static type
        try:
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
        finally:
            cursor.close()

    return set_pragmas


def _say_why(state: RetryCallState) -> None:
    if state.outcome is not None:
        log.warning("%s", state.outcome.exception())


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _says(error: Exception, *phrases: str) -> bool:
    message = str(getattr(error, "orig", None) or error).lower()
    return any(phrase in message for phrase in phrases)
