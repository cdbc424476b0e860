"""Stores that live in memory: strict stand-ins for the records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stope.errors import WorkerDrainingError
from stope.leases import Holder, Look
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.ledger import LedgerEntry
from stope.models.checkpoint import Checkpoint
from stope.models.job import JsonObject

RUN_BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
"""When the runs of ``tests/builders.py`` began, and the first answers came in."""


class MemoryUnitStore:
    """A ``UnitStore`` in memory. A commit takes a turn of the event loop, as a real one does.

    ``commits`` holds the keys in the order they were committed; ``refusal`` is what the next
    commits fail with.
    """

    def __init__(self, **committed: str) -> None:
        self.plans: dict[str, str] = {}
        self.uses: set[tuple[str, str, str]] = set()
        self.outputs = dict(committed)
        self.commits: list[str] = []
        self.refusal: Exception | None = None

    async def use(self, kind: str, keys: Mapping[str, str]) -> None:
        """See ``UnitStore``."""
        self.uses.update((kind, name, key) for name, key in keys.items())

    async def read_plan(self, key: str) -> str | None:
        """See ``UnitStore``."""
        return self.plans.get(key)

    async def write_plan(self, key: str, stage: str, body: str) -> None:
        """See ``UnitStore``."""
        self.plans.setdefault(key, body)

    async def read_outputs(self, keys: Sequence[str]) -> dict[str, str]:
        """See ``UnitStore``."""
        return {key: self.outputs[key] for key in keys if key in self.outputs}

    async def commit(self, key: str, stage: str, output: str, seconds: float) -> bool:
        """See ``UnitStore``."""
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.commits.append(key)
        return self.outputs.setdefault(key, output) is output


@dataclass(frozen=True)
class LedgerRow:
    """One answer as the ledger keeps it."""

    key: str
    entry: LedgerEntry
    made_at: datetime
    model: str = ""
    content_key: str | None = None


class MemoryLedgerStore:
    """A ``LedgerStore`` in memory that allows no step out of order.

    ``now`` is the time at which answers come in; a test moves it.
    """

    def __init__(self) -> None:
        self.now = RUN_BEGAN
        self.rows: dict[str, LedgerRow] = {}
        self.events: list[str] = []
        self.served: list[tuple[str, str]] = []

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        return self.look(key, since)(None)

    def look(self, key: str, since: datetime) -> Callable[[None], LedgerEntry | None]:
        """See ``LedgerStore``."""
        return lambda _nothing: self._found(key, since)

    def _found(self, key: str, since: datetime) -> LedgerEntry | None:
        rows = [row for row in reversed(self.rows.values()) if row.key == key]
        for status in ("accepted", "received"):
            for row in rows:
                if row.entry.status == status:
                    return row.entry
        return next((row.entry for row in rows if row.made_at >= since), None)

    async def find_other(self, content_key: str, model: str) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        for row in self.rows.values():
            if (
                row.content_key == content_key
                and row.model != model
                and row.entry.status == "accepted"
            ):
                return row.entry
        return None

    async def receive(
        self,
        key: str,
        request: ChatRequest,
        answer: ChatAnswer,
        job_id: str,
        content_key: str | None = None,
    ) -> LedgerEntry:
        """See ``LedgerStore``."""
        entry = LedgerEntry(f"answer-{len(self.rows) + 1}", "received", None, answer)
        self.rows[entry.id] = LedgerRow(key, entry, self.now, request.model, content_key)
        self.events.append(f"received {entry.id}")
        return entry

    async def serve(self, entry_id: str, how: str) -> bool:
        """See ``LedgerStore``."""
        self.served.append((entry_id, how))
        return entry_id in self.rows

    async def accept(self, entry_id: str) -> bool:
        """See ``LedgerStore``."""
        key = self.rows[entry_id].key
        if any(row.key == key and row.entry.status == "accepted" for row in self.rows.values()):
            self._judge(entry_id, "rejected", "another answer was accepted first")
            return False
        self._judge(entry_id, "accepted", None)
        return True

    async def reject(self, entry_id: str, reason: str) -> None:
        """See ``LedgerStore``."""
        self._judge(entry_id, "rejected", reason)

    @property
    def statuses(self) -> list[str]:
        """The status of every answer, in the order they came in."""
        return [row.entry.status for row in self.rows.values()]

    def _judge(self, entry_id: str, status: str, reason: str | None) -> None:
        row = self.rows[entry_id]
        if row.entry.status != "received":
            raise AssertionError(f"{entry_id} was judged before: {row.entry.status}")
        self.rows[entry_id] = replace(row, entry=replace(row.entry, status=status, reason=reason))
        self.events.append(f"{status} {entry_id}")


class MemoryLeaseStore:
    """A ``LeaseStore`` in memory; a test moves its clock, ``now``."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[str, tuple[str, float]] = {}
        self.takes = 0

    async def take(
        self, keys: Sequence[str], holder: Holder, seconds: float, look: Look | None = None
    ) -> frozenset[str]:
        """See ``LeaseStore``."""
        await asyncio.sleep(0)
        self.takes += 1
        fence = self.rows.get(holder.fence, (holder.name, 0.0))
        if fence[0] != holder.name and not self._free(fence, holder):
            raise WorkerDrainingError("Another worker has taken over this run.")
        taken = [key for key in keys if key not in self.rows or self._free(self.rows[key], holder)]
        for key in (*taken, holder.fence):
            self.rows[key] = (holder.name, self.now + seconds)
        if look is not None:
            look(None)
        return frozenset(taken)

    async def renew(self, keys: Sequence[str], holder: Holder, seconds: float) -> frozenset[str]:
        """See ``LeaseStore``."""
        kept = [key for key in keys if self.rows.get(key, ("", 0))[0] == holder.name]
        for key in kept:
            self.rows[key] = (holder.name, self.now + seconds)
        return frozenset(kept)

    async def release(self, keys: Sequence[str], holder: Holder) -> None:
        """See ``LeaseStore``."""
        for key in keys:
            if self.rows.get(key, ("", 0))[0] == holder.name:
                del self.rows[key]

    async def release_all(self, holder: Holder) -> None:
        """See ``LeaseStore``."""
        await self.release(list(self.rows), holder)

    def _free(self, row: tuple[str, float], holder: Holder) -> bool:
        name, until = row
        earlier_or_own = name.startswith(holder.family) and name <= holder.name
        return until < self.now or earlier_or_own


class MemoryMirror:
    """A checkpoint mirror that keeps every body it was given."""

    def __init__(self) -> None:
        self.bodies: list[JsonObject] = []

    async def write(self, checkpoint: Checkpoint) -> None:
        """See ``CheckpointMirror``."""
        self.bodies.append(checkpoint.model_dump(mode="json"))
