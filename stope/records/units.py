"""Plans and unit outputs in SQL: the ``UnitStore`` of production."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from stope.records.database import Database
from stope.records.schema import plan, unit

_KEYS_PER_QUERY = 500
"""Well under the limit of bound parameters of every database."""


class SqlUnitStore:
    """Inserts by key; a conflict does nothing, so a late attempt can do no harm."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_plan(self, key: str) -> str | None:
        """The JSON of the plan stored under a key."""
        async with self._database.reading() as connection:
            body = await connection.scalar(select(plan.c.body).where(plan.c.key == key))
        return None if body is None else bytes(body).decode()

    async def write_plan(self, key: str, stage: str, body: str) -> None:
        """Store a plan; does nothing when the key has one."""
        row = {"key": key, "stage": stage, "body": body.encode(), "created_at": datetime.now(UTC)}
        await self._database.insert_new(plan, [row])

    async def read_outputs(self, keys: Sequence[str]) -> dict[str, str]:
        """The committed outputs (JSON) among some keys."""
        found: dict[str, str] = {}
        async with self._database.reading() as connection:
            for first in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[first : first + _KEYS_PER_QUERY]
                rows = await connection.execute(
                    select(unit.c.key, unit.c.output).where(unit.c.key.in_(some))
                )
                found.update((key, bytes(output).decode()) for key, output in rows)
        return found

    async def commit(self, key: str, stage: str, output: str, seconds: float) -> None:
        """Store an output; does nothing when the key has one."""
        row = {
            "key": key,
            "stage": stage,
            "output": output.encode(),
            "seconds": seconds,
            "created_at": datetime.now(UTC),
        }
        await self._database.insert_new(unit, [row])
