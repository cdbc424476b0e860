"""What activities work with: built once by ``worker.py`` and handed to each of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stope.artifacts import ArtifactStore
from stope.engines import Engines
from stope.errors import StorageRefusedError, TransientError
from stope.leases import LeaseStore
from stope.money.guard import Accounts
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.knowledge import KnowledgeRecords
from stope.records.leases import SqlLeaseStore
from stope.records.ledger import SqlLedgerStore
from stope.records.sources import SourceDigests
from stope.records.units import SqlUnitStore
from stope.records.uses import ARTIFACT, RunUses, Use
from stope.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Stores and engines of one process."""

    settings: Settings
    database: Database
    jobs: JobRecords
    units: SqlUnitStore
    ledger: SqlLedgerStore
    knowledge: KnowledgeRecords
    artifacts: ArtifactStore
    engines: Engines
    leases: LeaseStore
    accounts: Accounts = field(default_factory=Accounts)

    def of_run(self, run_id: str) -> Services:
        """The same, on behalf of a run: what it needs is noted, so that it is kept."""
        uses = RunUses(self.database)

        owner = SourceDigests(self.database).owner

        async def use(digests: Sequence[str], name: str) -> None:
            await self.artifacts.mark(owner)
            await uses.note(run_id, ARTIFACT, [Use(digest, name) for digest in digests])

        return replace(self, units=self.units.of_run(run_id), artifacts=self.artifacts.telling(use))

    async def close(self) -> None:
        """Let go of connections and models."""
        await self.engines.close()
        await self.database.close()


async def open_services(settings: Settings) -> Services:
    """Open the stores, bringing the records' schema up to date. No engine is loaded yet."""
    database = Database(settings.records_url)
    await database.migrate()
    artifacts = ArtifactStore(settings.artifact_store_url, records=SourceDigests(database))
    try:
        await artifacts.prepare()
    except (TransientError, StorageRefusedError) as error:
        # Whoever needs it waits for it, or says so.
        log.warning("%s", error)
    return Services(
        settings=settings,
        database=database,
        jobs=JobRecords(database),
        units=SqlUnitStore(database),
        ledger=SqlLedgerStore(database),
        knowledge=KnowledgeRecords(database),
        leases=SqlLeaseStore(database),
        artifacts=artifacts,
        engines=Engines(settings),
    )
