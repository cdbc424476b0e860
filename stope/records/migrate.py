"""Alembic, run from Python: there is no ini file to find."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy.engine import URL

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(url: URL) -> Config:
    """The configuration of our migrations for one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def upgrade(url: URL) -> None:
    """Run all missing migrations. Processes that do it at once wait for each other."""
    if url.get_backend_name() == "sqlite":
        # SQLite's DDL is not one transaction; PostgreSQL takes a lock in env.py.
        with FileLock(f"{url.database}.migrate.lock"):
            command.upgrade(alembic_config(url), "head")
    else:
        command.upgrade(alembic_config(url), "head")
