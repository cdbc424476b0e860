"""What tests are made of: transcripts, claims, and stores that live in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stope.identity import digest_of
from stope.llm.chat import ChatAnswer, ChatModel, ChatRequest
from stope.llm.ledger import Ledger, LedgerEntry
from stope.models.claim import Alignment, Claim, ClaimType, Evidence, Stance
from stope.models.frozen import Frozen
from stope.models.transcript import Transcript, Utterance, Word
from stope.units import Unit

WORD_SECONDS = 0.4
"""Every word of ``transcript_of`` lasts so long, and the next one follows at once."""

RUN_BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def transcript_of(*utterances: str | tuple[str, str]) -> Transcript:
    """A transcript of utterances, each a text or a speaker and a text, cut into words at spaces."""
    words: list[Word] = []
    spans: list[Utterance] = []
    for utterance in utterances:
        speaker, text = (None, utterance) if isinstance(utterance, str) else utterance
        first = len(words)
        for token in text.split():
            start = round(len(words) * WORD_SECONDS, 3)
            words.append(Word(text=token, start=start, end=round(start + WORD_SECONDS, 3)))
        spans.append(Utterance(first_word=first, end_word=len(words), speaker=speaker))
    return Transcript(language="en", words=tuple(words), utterances=tuple(spans))


def claim_of(text: str, *, quote: str | None = None, grounded: bool = True) -> Claim:
    """A claim whose one piece of evidence has a place in the transcript, or has none."""
    words = quote or text
    return Claim(
        id=f"clm_{digest_of(text)[:12]}",
        segment_id="seg_0001",
        text=text,
        type=ClaimType.FACTUAL,
        stance=Stance.ASSERTED,
        evidence=(
            Evidence(quote=words, alignment=Alignment.EXACT, score=100, start=1.0, end=2.0)
            if grounded
            else Evidence(quote=words, alignment=Alignment.UNGROUNDED, score=0),
        ),
    )


class MemoryUnitStore:
    """A ``UnitStore`` in memory. A commit takes a turn of the event loop, as a real one does.

    ``commits`` holds the keys in the order they were committed; ``refusal`` is what the next
    commits fail with.
    """

    def __init__(self, **committed: str) -> None:
        self.plans: dict[str, str] = {}
        self.outputs = dict(committed)
        self.commits: list[str] = []
        self.refusal: Exception | None = None

    async def read_plan(self, key: str) -> str | None:
        """See ``UnitStore``."""
        return self.plans.get(key)

    async def write_plan(self, key: str, stage: str, body: str) -> None:
        """See ``UnitStore``."""
        self.plans.setdefault(key, body)

    async def read_outputs(self, keys: Sequence[str]) -> dict[str, str]:
        """See ``UnitStore``."""
        return {key: self.outputs[key] for key in keys if key in self.outputs}

    async def commit(self, key: str, stage: str, output: str, seconds: float) -> None:
        """See ``UnitStore``."""
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.commits.append(key)
        self.outputs.setdefault(key, output)


class Note(Frozen):
    """The output of a unit."""

    text: str


class Work:
    """Does units, or fails at them as told; those in ``held`` wait until they are finished."""

    def __init__(self, *held: str, **errors: Exception) -> None:
        self.began: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self._errors = errors
        self._held = {name: asyncio.Event() for name in held}
        self._begins: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ends: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, unit: Unit[str]) -> Note:
        """Do one unit: what ``run_units`` calls."""
        self.began.append(unit.id)
        self._begins[unit.id].set()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await turn()
            if unit.id in self._held:
                await self._held[unit.id].wait()
            if unit.id in self._errors:
                raise self._errors[unit.id]
            return Note(text=f"new {unit.item}")
        finally:
            self.in_flight -= 1
            self._ends[unit.id].set()

    async def until_begun(self, *names: str) -> None:
        """Wait until units were begun."""
        for name in names:
            await self._begins[name].wait()

    async def finish(self, *names: str) -> None:
        """Let held units go on, and wait for their ends."""
        for name in names:
            self._held[name].set()
            await self._ends[name].wait()


async def turn(times: int = 1) -> None:
    """Let every task that is ready go on."""
    for _ in range(times):
        await asyncio.sleep(0)


@dataclass(frozen=True)
class LedgerRow:
    """One answer as the ledger keeps it."""

    key: str
    entry: LedgerEntry
    made_at: datetime


class MemoryLedgerStore:
    """A ``LedgerStore`` in memory that allows no step out of order.

    ``now`` is the time at which answers come in; a test moves it.
    """

    def __init__(self) -> None:
        self.now = RUN_BEGAN
        self.rows: dict[str, LedgerRow] = {}
        self.events: list[str] = []

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """See ``LedgerStore``."""
        rows = [row for row in reversed(self.rows.values()) if row.key == key]
        for status in ("accepted", "received"):
            for row in rows:
                if row.entry.status == status:
                    return row.entry
        return next((row.entry for row in rows if row.made_at >= since), None)

    async def receive(
        self, key: str, request: ChatRequest, answer: ChatAnswer, job_id: str
    ) -> LedgerEntry:
        """See ``LedgerStore``."""
        entry = LedgerEntry(f"answer-{len(self.rows) + 1}", "received", None, answer)
        self.rows[entry.id] = LedgerRow(key, entry, self.now)
        self.events.append(f"received {entry.id}")
        return entry

    async def accept(self, entry_id: str) -> None:
        """See ``LedgerStore``."""
        key = self.rows[entry_id].key
        if any(row.key == key and row.entry.status == "accepted" for row in self.rows.values()):
            self._judge(entry_id, "rejected", "another answer was accepted first")
        else:
            self._judge(entry_id, "accepted", None)

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


def ledger_of(
    model: ChatModel,
    store: MemoryLedgerStore | None = None,
    *,
    namespace: str = "",
    since: datetime = RUN_BEGAN,
) -> Ledger:
    """A ledger for one run, on a store of its own unless one is given."""
    return Ledger(
        store or MemoryLedgerStore(), model, namespace=namespace, job_id="mine-1", since=since
    )
