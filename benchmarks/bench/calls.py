"""The calls that a pipeline made of a language model, read from its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from stope.compression import unpacked
from stope.llm.chat import ChatRequest
from stope.models.frozen import Frozen
from stope.records.database import Database
from stope.records.schema import llm_answer
from stope.settings import Settings


class Call(Frozen):
    """One call, from ``began`` to ``ended`` in seconds since the epoch."""

    request: ChatRequest
    began: float
    ended: float
    completion_tokens: int = 0


async def calls_since(settings: Settings, since: datetime) -> list[Call]:
    """All calls of a home whose answers came in since a moment, in the order they began."""
    database = Database(settings.records_url)
    try:
        async with database.reading() as connection:
            rows = list(await connection.execute(select(llm_answer)))
    finally:
        await database.close()
    found: list[Call] = []
    for row in rows:
        # SQLite gives times back without their zone; they were written in UTC.
        came = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
        if came >= since:
            found.append(
                Call(
                    request=ChatRequest.model_validate_json(
                        unpacked(bytes(row.request_json), f"The request of {row.id}")
                    ),
                    began=came.timestamp() - row.latency,
                    ended=came.timestamp(),
                    completion_tokens=row.completion_tokens or 0,
                )
            )
    return sorted(found, key=lambda call: call.began)


def waves(calls: Sequence[Call]) -> list[list[Call]]:
    """Calls in groups, each of which began after all of the one before had ended.

    Between two groups nothing was in flight, as between two phases of a stage. A call may have
    needed an answer of its own group: whoever does not wait for it is only faster than the
    pipeline could be.

    Args:
        calls: in the order they began.
    """
    found: list[list[Call]] = []
    latest = float("-inf")
    for call in calls:
        if call.began >= latest:
            found.append([])
        found[-1].append(call)
        latest = max(latest, call.ended)
    return found
