"""The ledger: every answer is committed before it is looked at, and is never paid for twice.

An answer is ``received`` first, then ``accepted`` when it fits, or ``rejected`` with the reason.
An accepted one answers every equal request from then on. A rejected one is never served; within
the run that got it, its request is not asked again either, since it would give the same answer.

Who asks holds a lease on the request until the answer is judged; whoever wants the same meanwhile
waits for it. A call that had to wait before it could begin, for the budget or the provider, looks
again first: a worker that was taken for dead may have brought its answer meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from stope.carrying import carried_through
from stope.errors import AnswerInvalidError, AnswerTruncatedError
from stope.llm.chat import ChatAnswer, ChatModel, ChatRequest, Message
from stope.llm.fit import describe_misfit, has_another_shape, parsed
from stope.llm.sharing import ALONE, Sharing

Answer = TypeVar("Answer", bound=BaseModel)

TRUNCATED = "truncated"
LOOK_SECONDS = 0.05
"""After so long what was seen in the ledger is looked at again before anything is paid for."""

_FINISHED = ("stop", "eos")
_CUT = ("length", "max_tokens")


@dataclass(frozen=True)
class LedgerEntry:
    """A committed answer. ``cost_usd`` is None where its price is unknown."""

    id: str
    status: str
    reason: str | None
    answer: ChatAnswer
    cost_usd: Decimal | None = None


class _OvertakenError(Exception):
    """Somebody else asks a request, or has its answer: it is to be looked for again."""


class LedgerStore(Protocol):
    """Where answers are committed."""

    async def find(self, key: str, since: datetime) -> LedgerEntry | None:
        """The accepted answer to a request, if there is one.

        Else one received but not judged; else the newest one rejected since a moment.
        """

    def look(self, key: str, since: datetime) -> Callable[[Any], LedgerEntry | None]:
        """What ``find`` gives, read on the connection of a transaction; see ``stope.leases.Look``.

        Leases and answers are in one database.
        """

    async def find_other(self, content_key: str, model: str) -> LedgerEntry | None:
        """The first accepted answer of any model but one to the same content."""

    async def receive(
        self,
        key: str,
        request: ChatRequest,
        answer: ChatAnswer,
        job_id: str,
        content_key: str | None = None,
    ) -> LedgerEntry:
        """Commit an answer as received."""

    async def serve(self, entry_id: str, how: str) -> bool:
        """Note that this run uses an answer that is paid for, which keeps it from being deleted.

        ``how`` is ``reused``, or ``other`` for another model's. False, and nothing is noted, if the
        answer has been deleted since it was found.
        """

    async def accept(self, entry_id: str) -> bool:
        """The answer fits. If another one to the same request was accepted before, that stays.

        Returns whether this one is the accepted one now.
        """

    async def reject(self, entry_id: str, reason: str) -> None:
        """The answer is bad and is never served."""


class CallGuard(Protocol):
    """Keeps calls within what may be spent."""

    def call(
        self, request: ChatRequest
    ) -> AbstractAsyncContextManager[Callable[[ChatAnswer], None]]:
        """Holds back the most that a call can cost; what it gives is told the answer.

        Raises:
            BudgetReachedError: the call could pass the limit.
        """


@dataclass
class Spend:
    """What a stage's calls came to.

    ``reused`` counts requests answered by the ledger, ``modes`` how calls asked for the schema.
    ``cost_usd`` is what calls with a known price cost, ``saved_usd`` what reused answers had cost,
    ``unpriced`` counts calls whose price is unknown, ``from_others`` requests answered by what
    another model said, ``lowest`` is the fewest calls at once that the provider bore meanwhile, and
    None if it never refused any.
    """

    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    unpriced: int = 0
    from_others: int = 0
    lowest: int | None = None
    modes: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Asks a model through the ledger, on behalf of one run of one job.

    Args:
        store: where answers are committed.
        model: who is asked when the ledger has no answer.
        namespace: only answers of the same namespace are served.
        job_id: noted with every answer.
        since: when the run began; requests rejected before it are asked again.
        guard: lets calls begin; None where nothing limits what they may cost.
        sharing: how it gets along with others who ask the same, or the same provider.
        any_model: what another model answered to the same content serves too, marked so.
    """

    def __init__(
        self,
        store: LedgerStore,
        model: ChatModel,
        *,
        namespace: str,
        job_id: str,
        since: datetime,
        guard: CallGuard | None = None,
        sharing: Sharing = ALONE,
        any_model: bool = False,
    ) -> None:
        self.model = model
        self.spend = Spend()
        self._store = store
        self._namespace = namespace
        self._job_id = job_id
        self._since = since
        self._guard = guard
        self._sharing = sharing
        self._any_model = any_model

    def metrics(self) -> dict[str, object]:
        """The spend as numbers for the run's record."""
        found: dict[str, object] = {
            "llm_calls": self.spend.calls,
            "llm_answers_reused": self.spend.reused,
            "prompt_tokens": self.spend.prompt_tokens,
            "completion_tokens": self.spend.completion_tokens,
            "llm_seconds": round(self.spend.seconds, 3),
            "cost_usd": float(self.spend.cost_usd),
            "cost_saved_usd": float(self.spend.saved_usd),
            "llm_calls_unpriced": self.spend.unpriced,
        }
        if self._any_model:
            found["llm_answers_from_other_models"] = self.spend.from_others
        if self.spend.lowest is not None:
            found["llm_concurrency_lowest"] = self.spend.lowest
        return found | ({"llm_modes": dict(self.spend.modes)} if self.spend.modes else {})

    async def ask(self, request: ChatRequest, answer_type: type[Answer]) -> Answer:
        """An answer that fits the type; one bad answer is shown to the model for repair.

        Raises:
            AnswerTruncatedError: the answer was cut off; ask for less.
            AnswerInvalidError: it does not fit, also after the repair.
            ProviderRejectedError: the provider refused for good.
            TransientError: the provider may answer later.
        """
        if self._any_model and (borrowed := await self._borrowed(request, answer_type)):
            return borrowed
        key = request.key(self._namespace)
        entry = await self._entry(key, request)
        try:
            return await self._settled(key, entry, answer_type)
        except AnswerInvalidError as error:
            repair = request.model_copy(
                update={
                    "messages": (
                        *request.messages,
                        Message(role="assistant", content=entry.answer.content),
                        Message(
                            role="user",
                            content=f"That answer does not fit the schema: {error}. Give the "
                            "whole answer again, mended.",
                        ),
                    )
                }
            )
            key = repair.key(self._namespace)
            return await self._settled(key, await self._entry(key, repair), answer_type)

    async def _borrowed(self, request: ChatRequest, answer_type: type[Answer]) -> Answer | None:
        """What another model answered, if this one has not, and if it fits."""
        exact = await self._store.find(request.key(self._namespace), self._since)
        if exact is not None and exact.status == "accepted":
            return None
        other = await self._store.find_other(request.content_key(self._namespace), request.model)
        if other is None:
            return None
        try:
            found = parsed(other.answer.content, answer_type)
        except ValidationError:
            # It fitted when it was accepted, by rules of then. It stays what it is.
            return None
        if not await self._store.serve(other.id, "other"):
            return None
        self.spend.from_others += 1
        self.spend.saved_usd += other.cost_usd or 0
        return found

    async def _entry(self, key: str, request: ChatRequest) -> LedgerEntry:
        """A committed answer: one that was there, one that somebody else was getting, or a new one.

        An unjudged or new one comes with the lease on its request.
        """
        looks, mine = self._sharing.looks(), False
        known: LedgerEntry | None = None
        looked = 0.0

        def look(connection: Any) -> None:
            nonlocal known, looked
            looked, known = time.time(), self._store.look(key, self._since)(connection)

        while True:
            looked = 0.0
            # The lease first: its last holder may have brought an answer just before it let go.
            mine = (mine and await self._sharing.holds(key)) or await self._sharing.lease(key, look)
            try:
                if not looked:
                    looked = time.time()
                    known = await self._store.find(key, self._since)
                found = known is not None and (mine or known.status != "received")
                if known is not None and found and await self._served(known):
                    self._sharing.waited(looks)
                    return known
                if mine:
                    self._sharing.waited(looks)
                    with suppress(_OvertakenError):
                        return await self._asked(key, request, looked)
            except BaseException:
                if mine:
                    await self._sharing.give_up(key)
                raise
            if not (found or mine):
                await self._sharing.wait(looks)

    async def _served(self, known: LedgerEntry) -> bool:
        """Use what was found; False if it is gone by now."""
        if not await self._store.serve(known.id, "reused"):
            return False
        self.spend.reused += 1
        self.spend.saved_usd += known.cost_usd or 0
        return True

    async def _asked(self, key: str, request: ChatRequest, looked: float) -> LedgerEntry:
        """Ask the model as soon as the budget has room, and then the provider.

        ``looked`` is when the ledger had no answer, in seconds of the wall clock.

        Raises:
            _OvertakenError: it is not ours to ask any more.
        """
        if self._guard is None:
            return await self._sharing.govern(partial(self._paid, key, request, looked, _nobody))
        async with self._guard.call(request) as settle:
            return await self._sharing.govern(partial(self._paid, key, request, looked, settle))

    async def _paid(
        self,
        key: str,
        request: ChatRequest,
        looked: float,
        settle: Callable[[ChatAnswer], None],
    ) -> LedgerEntry:
        """Ask the model, and commit what it says before anything else.

        A call that has begun may be paid for: a cancellation waits for its answer.
        """
        # Wall time: a process that was frozen, or a machine that slept, must notice it.
        if not 0 <= time.time() - looked < LOOK_SECONDS and await self._overtaken(key):
            raise _OvertakenError
        self._note_pace()
        return await carried_through(self._received(key, request, settle))

    async def _received(
        self, key: str, request: ChatRequest, settle: Callable[[ChatAnswer], None]
    ) -> LedgerEntry:
        answer = await self.model.complete(request)
        settle(answer)
        self.spend.calls += 1
        self.spend.prompt_tokens += answer.prompt_tokens or 0
        self.spend.completion_tokens += answer.completion_tokens or 0
        self.spend.seconds += answer.latency
        if answer.mode is not None:
            self.spend.modes[answer.mode] += 1
        content_key = request.content_key(self._namespace)
        entry = await self._store.receive(key, request, answer, self._job_id, content_key)
        self.spend.cost_usd += entry.cost_usd or 0
        self.spend.unpriced += entry.cost_usd is None
        return entry

    async def _overtaken(self, key: str) -> bool:
        """Whether somebody else has the request by now, or has its answer."""
        if not await self._sharing.holds(key):
            return True
        return await self._store.find(key, self._since) is not None

    def _note_pace(self) -> None:
        slowed = self._sharing.slowed_to
        if slowed is not None:
            self.spend.lowest = min(slowed, self.spend.lowest or slowed)

    async def _settled(self, key: str, entry: LedgerEntry, answer_type: type[Answer]) -> Answer:
        """The answer in an entry, judged; the lease on its request is over in any case."""
        try:
            found = await self._judged(key, entry, answer_type)
        except BaseException:
            await self._sharing.give_up(key)
            raise
        self._sharing.finished(key)
        return found

    async def _judged(self, key: str, entry: LedgerEntry, answer_type: type[Answer]) -> Answer:
        if entry.status == "rejected":
            raise _rejection(entry.reason or "")
        finish = entry.answer.finish_reason
        if finish not in _FINISHED:
            reason = TRUNCATED if finish in _CUT else f"finished by {finish!r}"
            await self._store.reject(entry.id, reason)
            raise _rejection(reason)
        try:
            fitting = parsed(entry.answer.content, answer_type)
        except ValidationError as error:
            reason = describe_misfit(error)
            if entry.answer.content.strip() and has_another_shape(error):
                self.model.doubt(entry.answer)
            await self._store.reject(entry.id, reason)
            raise AnswerInvalidError(reason) from error
        if entry.status == "received" and not await self._store.accept(entry.id):
            # Somebody took us for dead and asked again. Theirs is what everybody is served.
            winner = await self._store.find(key, self._since)
            if winner is not None:
                return parsed(winner.answer.content, answer_type)
        return fitting


def _nobody(_answer: ChatAnswer) -> None:
    """Nobody wants to know what an answer took."""


def _rejection(reason: str) -> AnswerInvalidError | AnswerTruncatedError:
    if reason == TRUNCATED:
        return AnswerTruncatedError("the model's answer was cut off at its token limit")
    return AnswerInvalidError(reason)
