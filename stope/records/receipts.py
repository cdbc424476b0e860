"""Receipts: what a destination said to each item it was given."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from stope.models.upload import Receipt
from stope.records.database import Database
from stope.records.schema import upload_receipt


class UploadReceipts:
    """The table ``upload_receipt``: the newest receipt of each item at each destination."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, destination: str, run_id: str, receipt: Receipt) -> None:
        """Keep a receipt with the run that got it; recording it again changes nothing but when."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        row = {
            "destination": destination,
            "item_id": receipt.item_id,
            "digest": receipt.digest,
            "receipt_json": receipt.model_dump(mode="json"),
            "run_id": run_id,
            "created_at": datetime.now(UTC),
        }
        statement = dialect.insert(upload_receipt).values(row)
        newer = {name: statement.excluded[name] for name in row}
        for key in ("destination", "item_id"):
            del newer[key]
        await self._database.write(
            statement.on_conflict_do_update(
                index_elements=[upload_receipt.c.destination, upload_receipt.c.item_id], set_=newer
            )
        )

    async def of_run(self, destination: str, run_id: str) -> dict[str, Receipt]:
        """The receipts that a run got at a destination and nobody has replaced, by item."""
        query = select(upload_receipt.c.receipt_json).where(
            upload_receipt.c.destination == destination, upload_receipt.c.run_id == run_id
        )
        found = [Receipt.model_validate(row[0]) for row in await self._database.fetch(query)]
        return {receipt.item_id: receipt for receipt in found}

    async def at(self, destination: str) -> list[Receipt]:
        """The receipts of a destination, by item."""
        query = (
            select(upload_receipt.c.receipt_json)
            .where(upload_receipt.c.destination == destination)
            .order_by(upload_receipt.c.item_id)
        )
        return [Receipt.model_validate(row[0]) for row in await self._database.fetch(query)]

    async def digests(self, destination: str, collection: str) -> dict[str, str]:
        """SHA-256 of what each item of a collection was last put with, whichever run put it."""
        table = upload_receipt.c
        query = select(table.item_id, table.digest).where(
            table.destination == destination,
            table.item_id.startswith(f"{collection}/", autoescape=True),
        )
        return {row.item_id: row.digest for row in await self._database.fetch(query)}
