"""The ledger's rows in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from stope.compression import packed, unpacked
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.ledger import LedgerEntry
from stope.records.database import Database
from stope.records.schema import answer_use, llm_answer

_ANY_TEXT = "surrogatepass"
"""Half a surrogate pair is no UTF-8, but a model may say it, and it was paid for."""


# Made once: to make a statement takes as long as to execute it.
_ASKED = llm_answer.c.request_key == bindparam("key")
_OF_REQUEST = select(llm_answer).where(_ASKED).order_by(llm_answer.c.created_at.desc())
_ATTEMPT = select(func.count() + 1).select_from(llm_answer).where(_ASKED).scalar_subquery()
_JUDGE = (
    update(llm_answer)
    .where(llm_answer.c.id == bindparam("entry_id"))
    .values(status=bindparam("judged"), reason=bindparam("because"))
)


@dataclass(frozen=True)
class Booking:
    """On whose account answers are: a run, its stage, and what an answer costs (None: unknown)."""

    run_id: str
    stage: str
    cost: Callable[[ChatAnswer], Decimal | None]


class SqlLedgerStore:
    """The table ``llm_answer``, and ``answer_use`` where there is a run to book answers to."""

    def __init__(self, database: Database, booking: Booking | None = None) -> None:
        self._database = database
        self._booking = booking
        self._receiving = database.inserting(llm_answer).values(attempt=_ATTEMPT)

    def on_account(self, booking: Booking) -> SqlLedgerStore:
        """The same ledger, its answers booked to a run."""
        return SqlLedgerStore(self._database, booking)

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        return _best(await self._database.fetch(_OF_REQUEST, {"key": key}), since)

    def look(self, key: str, since: datetime) -> Callable[[Connection], LedgerEntry | None]:
        """See ``LedgerStore``."""
        return lambda link: _best(link.execute(_OF_REQUEST, {"key": key}).all(), since)

    async def find_other(self, content_key: str, model: str) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        query = (
            select(llm_answer)
            .where(
                llm_answer.c.content_key == content_key,
                llm_answer.c.model != model,
                llm_answer.c.status == "accepted",
            )
            .order_by(llm_answer.c.created_at, llm_answer.c.id)
            .limit(1)
        )
        rows = await self._database.fetch(query)
        return _entry_of(rows[0]) if rows else None

    async def receive(
        self,
        key: str,
        request: ChatRequest,
        answer: ChatAnswer,
        job_id: str,
        content_key: str | None = None,
    ) -> LedgerEntry:
        """See ``LedgerStore``."""
        booking = self._booking
        cost = booking.cost(answer) if booking else None
        entry = LedgerEntry(uuid.uuid4().hex, "received", None, answer, cost)
        row = {
            "id": entry.id,
            "request_key": key,
            "model": request.model,
            "request_json": packed(request.model_dump_json().encode()),
            "content": packed(answer.content.encode(errors=_ANY_TEXT)),
            "finish_reason": answer.finish_reason,
            "status": entry.status,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "cost_usd": None if cost is None else float(cost),
            "latency": answer.latency,
            "job_id": job_id,
            "run_id": booking.run_id if booking else None,
            "stage": booking.stage if booking else None,
            "content_key": content_key,
            "created_at": datetime.now(UTC),
        }
        using = self._database.inserting(answer_use)

        def receive(connection: Connection) -> None:
            # In one transaction: no answer is paid for without being booked.
            connection.execute(self._receiving, row | {"key": key})
            if booking:
                connection.execute(using, self._use(booking, entry.id, "paid"))

        await self._database.transact(receive)
        return entry

    async def serve(self, entry_id: str, how: str) -> bool:
        """See ``LedgerStore``. The first use of an answer by a run is the one that is kept."""
        if self._booking is None:
            return True
        statement = self._database.inserting(answer_use)
        use = self._use(self._booking, entry_id, how)
        there = select(llm_answer.c.id).where(llm_answer.c.id == entry_id)

        def serve(connection: Connection) -> bool:
            # Noted first: whoever clears out either sees the note, or is done and is seen here.
            connection.execute(statement, use)
            if connection.scalar(there) is not None:
                return True
            connection.rollback()
            return False

        return await self._database.transact(serve)

    async def accept(self, entry_id: str) -> bool:
        """See ``LedgerStore``."""
        try:
            await self._judge(entry_id, "accepted", None)
        except IntegrityError:
            await self._judge(entry_id, "rejected", "another answer was accepted first")
            return False
        return True

    async def reject(self, entry_id: str, reason: str) -> None:
        """See ``LedgerStore``."""
        await self._judge(entry_id, "rejected", reason)

    def _use(self, booking: Booking, answer_id: str, how: str) -> dict[str, object]:
        return {
            "run_id": booking.run_id,
            "answer_id": answer_id,
            "stage": booking.stage,
            "how": how,
            "created_at": datetime.now(UTC),
        }

    async def _judge(self, entry_id: str, status: str, reason: str | None) -> None:
        given = {"entry_id": entry_id, "judged": status, "because": reason}
        # A judgement that is forgotten is made again when the answer is read, without paying.
        await self._database.transact(lambda link: link.execute(_JUDGE, given), durable=False)


def _best(rows: Sequence[Row[Any]], since: datetime) -> LedgerEntry | None:
    """Of all answers to a request, the newest first, the one that ``LedgerStore.find`` gives."""
    for status in ("accepted", "received"):
        for row in rows:
            if row.status == status:
                return _entry_of(row)
    for row in rows:
        made = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
        if row.status == "rejected" and made >= since:
            return _entry_of(row)
    return None


def _entry_of(row: Row[tuple[object, ...]]) -> LedgerEntry:
    return LedgerEntry(
        id=row.id,
        status=row.status,
        reason=row.reason,
        answer=ChatAnswer(
            content=unpacked(bytes(row.content), f"The answer {row.id}").decode(errors=_ANY_TEXT),
            finish_reason=row.finish_reason,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            latency=row.latency,
        ),
        # The shortest decimal that is this float: what was stored.
        cost_usd=None if row.cost_usd is None else Decimal(repr(row.cost_usd)),
    )
