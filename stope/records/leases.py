"""Leases in SQL, each taken in one statement, so that of any two who ask one gets it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from stope.errors import WorkerDrainingError
from stope.leases import Holder, Look
from stope.records.database import Database

_SWEEP_SECONDS = 3600
"""Leases that ran out so long ago are nobody's."""

_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS FLOAT)",
}
"""The time is the database's: the clocks of the machines that share one may differ."""

_EACH = {"sqlite": "json_each", "postgresql": "json_array_elements_text"}

# Rows in the order of their keys: two that take the same ones never wait for each other in turn.
_TAKE = """
INSERT INTO lease (key, holder, expires_at)
SELECT wanted.value, CAST(:holder AS VARCHAR), {now} + CAST(:seconds AS FLOAT)
FROM (SELECT value FROM {each}(CAST(:keys AS {json})) AS listed ORDER BY value) AS wanted
WHERE true
ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE lease.expires_at < {now}
   OR (substr(lease.holder, 1, CAST(:length AS INTEGER)) = CAST(:family AS VARCHAR)
       AND lease.holder < excluded.holder)
   OR lease.holder = excluded.holder
RETURNING key
"""

_MINE = """
SELECT key FROM lease
WHERE holder = CAST(:holder AS VARCHAR)
  AND key IN (SELECT value FROM {each}(CAST(:keys AS {json})) AS listed)
ORDER BY key {lock}
"""

_RENEW = """
UPDATE lease SET expires_at = {now} + CAST(:seconds AS FLOAT)
WHERE key IN ({mine}) AND holder = CAST(:holder AS VARCHAR)
RETURNING key
"""

_RELEASE = "DELETE FROM lease WHERE key IN ({mine}) AND holder = CAST(:holder AS VARCHAR)"

_RELEASE_ALL = """
DELETE FROM lease WHERE key IN (
    SELECT key FROM lease
    WHERE holder = CAST(:holder AS VARCHAR) OR expires_at < {now} - CAST(:old AS FLOAT)
    ORDER BY key {lock}
)
"""


class SqlLeaseStore:
    """The table ``lease``: the ``LeaseStore`` of production.

    Only taking is insisted on while the database is busy. The rest is tried once: leases that are
    not renewed are renewed later, and those that are not let go run out.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        engine = "sqlite" if database.is_sqlite else "postgresql"
        words = {
            "now": _NOW[engine],
            "each": _EACH[engine],
            "json": "TEXT" if database.is_sqlite else "JSON",
            "lock": "" if database.is_sqlite else "FOR UPDATE",
        }
        mine = _MINE.format(**words)
        self._take = text(_TAKE.format(**words))
        self._renew = text(_RENEW.format(**words, mine=mine))
        self._release = text(_RELEASE.format(mine=mine))
        self._release_all = text(_RELEASE_ALL.format(**words))

    async def take(
        self, keys: Sequence[str], holder: Holder, seconds: float, look: Look | None = None
    ) -> frozenset[str]:
        """See ``LeaseStore``; ``look`` is given a SQLAlchemy connection to the same database."""
        given = {
            "keys": _listed([*keys, holder.fence]),
            "holder": holder.name,
            "seconds": seconds,
            "family": holder.family,
            "length": len(holder.family),
            "fence": holder.fence,
        }

        def take(connection: Connection) -> frozenset[str]:
            taken = frozenset(connection.execute(self._take, given).scalars())
            if holder.fence not in taken:
                # What was taken beside it is rolled back by this.
                raise WorkerDrainingError(
                    "Another worker has taken over this run while this one was silent; it goes on, "
                    "and this one stops."
                )
            if look is not None:
                look(connection)
            return taken - {holder.fence}

        # When the machine goes down, who holds the lease goes down with it.
        return await self._database.transact(take, durable=False)

    async def renew(self, keys: Sequence[str], holder: Holder, seconds: float) -> frozenset[str]:
        """See ``LeaseStore``."""
        given = {"keys": _listed(keys), "holder": holder.name, "seconds": seconds}
        return await self._database.transact_once(
            lambda link: frozenset(link.execute(self._renew, given).scalars()), durable=False
        )

    async def release(self, keys: Sequence[str], holder: Holder) -> None:
        """See ``LeaseStore``."""
        given = {"keys": _listed(keys), "holder": holder.name}
        await self._database.transact_once(
            lambda link: link.execute(self._release, given), durable=False
        )

    async def release_all(self, holder: Holder) -> None:
        """See ``LeaseStore``."""
        given = {"holder": holder.name, "old": _SWEEP_SECONDS}
        await self._database.transact_once(
            lambda link: link.execute(self._release_all, given), durable=False
        )


def _listed(keys: Iterable[str]) -> str:
    return json.dumps(sorted(set(keys)))
