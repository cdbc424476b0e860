"""The ledger's rows in SQL."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy import Row, func, select, update
from sqlalchemy.exc import IntegrityError

from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.ledger import LedgerEntry
from stope.records.database import Database
from stope.records.schema import llm_answer

_ANY_TEXT = "surrogatepass"
"""Half a surrogate pair is no UTF-8, but a model may say it, and it was paid for."""


class SqlLedgerStore:
    """The table ``llm_answer``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        query = (
            select(llm_answer)
            .where(llm_answer.c.request_key == key)
            .order_by(llm_answer.c.created_at.desc())
        )
        async with self._database.reading() as connection:
            rows = list(await connection.execute(query))
        for status in ("accepted", "received"):
            for row in rows:
                if row.status == status:
                    return _entry_of(row)
        for row in rows:
            made = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
            if row.status == "rejected" and made >= since:
                return _entry_of(row)
        return None

    async def receive(
        self, key: str, request: ChatRequest, answer: ChatAnswer, job_id: str
    ) -> LedgerEntry:
        """See ``LedgerStore``."""
        count = select(func.count()).where(llm_answer.c.request_key == key)
        async with self._database.reading() as connection:
            earlier = await connection.scalar(count)
        entry = LedgerEntry(uuid.uuid4().hex, "received", None, answer)
        await self._database.insert_new(
            llm_answer,
            [
                {
                    "id": entry.id,
                    "request_key": key,
                    "model": request.model,
                    "request_json": request.model_dump_json().encode(),
                    "content": answer.content.encode(errors=_ANY_TEXT),
                    "finish_reason": answer.finish_reason,
                    "status": entry.status,
                    "prompt_tokens": answer.prompt_tokens,
                    "completion_tokens": answer.completion_tokens,
                    "latency": answer.latency,
                    "attempt": (earlier or 0) + 1,
                    "job_id": job_id,
                    "created_at": datetime.now(UTC),
                }
            ],
        )
        return entry

    async def accept(self, entry_id: str) -> None:
        """See ``LedgerStore``."""
        try:
            await self._judge(entry_id, "accepted", None)
        except IntegrityError:
            await self._judge(entry_id, "rejected", "another answer was accepted first")

    async def reject(self, entry_id: str, reason: str) -> None:
        """See ``LedgerStore``."""
        await self._judge(entry_id, "rejected", reason)

    async def _judge(self, entry_id: str, status: str, reason: str | None) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                update(llm_answer)
                .where(llm_answer.c.id == entry_id)
                .values(status=status, reason=reason)
            )


def _entry_of(row: Row[tuple[object, ...]]) -> LedgerEntry:
    return LedgerEntry(
        id=row.id,
        status=row.status,
        reason=row.reason,
        answer=ChatAnswer(
            content=bytes(row.content).decode(errors=_ANY_TEXT),
            finish_reason=row.finish_reason,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            latency=row.latency,
        ),
    )
