"""What runs need, in SQL: noted before it is read, so that nothing of it is deleted meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select

from stope.records.database import Database
from stope.records.schema import run_use, unit

PLAN = "plan"
UNIT = "unit"
ARTIFACT = "artifact"
ANY = "any"
"""The one use of a run from before uses were noted: anything that was made before it ended."""

_NOTED_TOGETHER = 1000
"""Uses in one transaction: other writers wait for it."""


@dataclass(frozen=True)
class Use:
    """One thing that a run needs.

    ``name`` is a unit's id, the model of a plan, or what an artifact is. ``stage`` is that of a
    committed unit, and None where there is no output.
    """

    key: str
    name: str
    stage: str | None = None


class RunUses:
    """The table ``run_use``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, run_id: str, kind: str, uses: Iterable[Use]) -> None:
        """Note what a run needs from now on; noting it again changes nothing."""
        left, same = iter(uses), {"run_id": run_id, "kind": kind}
        while some := list(islice(left, _NOTED_TOGETHER)):
            rows = [same | {"key": use.key, "name": use.name} for use in some]
            await self._database.insert_new(run_use, rows)

    async def of_run(self, run_id: str, kind: str) -> list[Use]:
        """What a run needs of a kind, by name."""
        query = (
            select(run_use.c.key, run_use.c.name, unit.c.stage)
            .join_from(run_use, unit, unit.c.key == run_use.c.key, isouter=True)
            .where(run_use.c.run_id == run_id, run_use.c.kind == kind)
            .order_by(run_use.c.name, run_use.c.key)
        )
        return [Use(row.key, row.name, row.stage) for row in await self._database.fetch(query)]
