"""What activities work with: built once by ``worker.py`` and handed to each of them."""

from __future__ import annotations

from dataclasses import dataclass

from stope.artifacts import ArtifactStore
from stope.engines import Engines
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.knowledge import KnowledgeRecords
from stope.records.ledger import SqlLedgerStore
from stope.records.units import SqlUnitStore
from stope.settings import Settings


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

    async def close(self) -> None:
        """Let go of connections and models."""
        await self.engines.close()
        await self.database.close()


async def open_services(settings: Settings) -> Services:
    """Open the stores, bringing the records' schema up to date. No engine is loaded yet."""
    database = Database(settings.records_url)
    await database.migrate()
    return Services(
        settings=settings,
        database=database,
        jobs=JobRecords(database),
        units=SqlUnitStore(database),
        ledger=SqlLedgerStore(database),
        knowledge=KnowledgeRecords(database),
        artifacts=ArtifactStore(settings.artifact_store_url),
        engines=Engines(settings),
    )
