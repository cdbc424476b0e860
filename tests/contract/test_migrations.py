"""Migrations make exactly the tables of the schema, once, whoever else does it at the same time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import stope.records.database
from stope.errors import RecordsError
from stope.records.database import Database
from stope.records.migrate import alembic_config, upgrade
from stope.records.schema import HEAD, metadata

Open = Callable[[str], Database]


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to make the tables those of the schema."""
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


async def tables_of(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def revisions_of(database: Database) -> list[str]:
    async with database.reading() as connection:
        rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
        return [str(row[0]) for row in rows]


async def test_the_newest_script_is_the_head_that_the_program_asks_for(empty_url: str) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(Database(empty_url).url))
    assert scripts.get_heads() == [HEAD]


async def test_upgrading_from_nothing_gives_the_tables_of_the_schema(
    empty_url: str, open_database: Open
) -> None:
    database = open_database(empty_url)
    await database.migrate()
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
    assert await tables_of(database) == {*metadata.tables, "alembic_version"}


async def test_upgrading_again_changes_nothing_and_reads_no_script(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(upgrade, database.url)
    assert await revisions_of(database) == [HEAD]

    def no_upgrade(_url: object) -> None:
        raise AssertionError("upgraded again")

    monkeypatch.setattr("stope.records.migrate.upgrade", no_upgrade)
    await database.migrate()


async def test_two_at_once_in_one_process_are_fine(empty_url: str, open_database: Open) -> None:
    databases = [open_database(empty_url) for _ in range(2)]
    await asyncio.gather(*(database.migrate() for database in databases))
    assert await revisions_of(databases[0]) == [HEAD]


async def test_two_processes_at_once_are_fine(empty_url: str, open_database: Open) -> None:
    code = (
        "import asyncio, sys\n"
        "from stope.records.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "input()\n"
        "asyncio.run(database.migrate())\n"
    )
    pipes = {"stdin": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_url, **pipes)
        for _ in range(2)
    ]
    said = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0], said
    assert await revisions_of(open_database(empty_url)) == [HEAD]


async def test_records_of_a_newer_program_are_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RecordsError, match="written by a newer version"):
        await database.migrate()
    assert await revisions_of(database) == ["9999"]
    assert stope.records.database.HEAD == HEAD
