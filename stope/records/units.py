"""Plans and unit outputs in SQL: the ``UnitStore`` of production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from stope.compression import packed, unpacked
from stope.records.database import Database
from stope.records.schema import plan, unit
from stope.records.uses import UNIT, RunUses, Use

_KEYS_PER_QUERY = 500
"""Well under the limit of bound parameters of every database."""


class SqlUnitStore:
    """Inserts by key; a conflict does nothing, so a late attempt can do no harm.

    Args:
        database: the records.
        run_id: the run that reads and commits, if it is to be noted what it needs.
        durable: whether an output is on the disk when its commit returns; see ``of_answers``.
    """

    def __init__(
        self, database: Database, run_id: str | None = None, *, durable: bool = True
    ) -> None:
        self._database = database
        self._uses = RunUses(database)
        self._run_id = run_id
        self._durable = durable
        self._noted: set[str] = set()

    def of_run(self, run_id: str) -> SqlUnitStore:
        """The same store, on behalf of a run."""
        return SqlUnitStore(self._database, run_id, durable=self._durable)

    def of_answers(self) -> SqlUnitStore:
        """The same store, for units that are made of answers in the ledger and of nothing dear.

        Their outputs outlive every process. When SQLite's machine goes down the last moment's may
        be lost, each before the mirror that counts it; they are made again of their answers, which
        are on the disk and are not paid for twice.
        """
        return SqlUnitStore(self._database, self._run_id, durable=False)

    async def use(self, kind: str, keys: Mapping[str, str]) -> None:
        """Note what is needed from now on, before it is read: keys of plans or units by name."""
        if self._run_id is not None:
            await self._uses.note(
                self._run_id, kind, [Use(key, name) for name, key in keys.items()]
            )
            self._noted.update(keys.values())

    async def read_plan(self, key: str) -> str | None:
        """The JSON of the plan stored under a key."""
        rows = await self._database.fetch(select(plan.c.body).where(plan.c.key == key))
        return unpacked(bytes(rows[0].body), f"The plan {key}").decode() if rows else None

    async def write_plan(self, key: str, stage: str, body: str) -> None:
        """Store a plan; does nothing when the key has one."""
        row = {
            "key": key,
            "stage": stage,
            "body": packed(body.encode()),
            "created_at": datetime.now(UTC),
        }
        await self._database.insert_new(plan, [row])

    async def read_outputs(self, keys: Sequence[str]) -> dict[str, str]:
        """The committed outputs (JSON) among some keys."""
        found: dict[str, str] = {}
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[first : first + _KEYS_PER_QUERY]
            query = select(unit.c.key, unit.c.output).where(unit.c.key.in_(some))
            for row in await self._database.fetch(query):
                found[row.key] = unpacked(bytes(row.output), f"The unit {row.key}").decode()
        await self._note_unnamed(list(found))
        return found

    async def commit(self, key: str, stage: str, output: str, seconds: float) -> bool:
        """Store an output and say so; does nothing, and says False, when the key has one."""
        await self._note_unnamed([key])
        row = {
            "key": key,
            "stage": stage,
            "output": packed(output.encode()),
            "seconds": seconds,
            "created_at": datetime.now(UTC),
        }
        statement = self._database.inserting(unit)
        return await self._database.transact(
            lambda link: link.execute(statement, row).rowcount == 1, durable=self._durable
        )

    async def _note_unnamed(self, keys: Sequence[str]) -> None:
        """What is kept on the way to a unit's output is in no plan, and needed all the same."""
        new = [key for key in keys if key not in self._noted]
        if new and self._run_id is not None:
            await self._uses.note(self._run_id, UNIT, [Use(key, "") for key in new])
            self._noted.update(new)
