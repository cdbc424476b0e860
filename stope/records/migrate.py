"""Alembic, run from Python: there is no ini file to find."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy.engine import URL

_IN_THIS_PROCESS = Lock()

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(url: URL) -> Config:
    """The configuration of our migrations for one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def known_revisions() -> set[str]:
    """The revisions that this program has migrations for."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    return {script.revision for script in scripts.walk_revisions()}


def upgrade(url: URL) -> None:
    """Run all missing migrations. Whoever does it at the same time waits, or is waited for."""
    # Alembic keeps its context in module globals: one thread of a process at a time.
    with _IN_THIS_PROCESS:
        _upgrade(url)


def _upgrade(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        # SQLite's DDL is not one transaction; PostgreSQL takes a lock in env.py.
        with FileLock(f"{url.database}.migrate.lock"):
            command.upgrade(alembic_config(url), "head")
    else:
        command.upgrade(alembic_config(url), "head")
