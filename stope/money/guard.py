"""The budget: no call begins that could pass the limit of money or tokens.

Before a call the most it can cost is held back; when it has been answered its real cost takes that
place. Calls of one run share one account, whatever stage or model they belong to. A call for which
only the calls in flight leave no room waits for them; one that does not fit beside what is spent
ends the stage with ``BudgetReachedError``.

What is held back is an estimate of the prompt, with a margin, and the answer's own limit, so a
limit is kept as long as a prompt is not far longer in tokens than its bytes let expect. A call that
fails costs nothing here, whatever its provider thinks. An attempt that was given up as dead and
works on in another process is seen once a second by what it has paid; its calls in flight are not.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from weakref import WeakValueDictionary

from stope.errors import BudgetReachedError, ProviderRejectedError, WorkerDrainingError
from stope.identity import canonical_json
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.llm.dialect import REASONING_TOKENS
from stope.llm.tokens import estimate_tokens
from stope.models.money import dollars
from stope.money.prices import NOTHING, Price
from stope.records.spend import Paid

REFRESH_SECONDS = 1.0
"""How often is read what others have paid for the same run."""

_BYTES_PER_TOKEN = 3
"""Prose has four and more; figures and JSON about three."""

_MESSAGE_TOKENS = 8
"""What a server puts around a message."""

_REASONS = re.compile(r"(?:^|[:/#])(?:o\d|gpt-5)", re.IGNORECASE)
"""Models that think before they answer, at the length that our dialect of their protocol allows."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend in all; None: as much as it takes."""

    usd: Decimal | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, max_usd: float | None, max_tokens: int | None) -> Budget | None:
        """The budget of a request; None where it has none."""
        if max_usd is None and max_tokens is None:
            return None
        return cls(None if max_usd is None else Decimal(repr(max_usd)), max_tokens)


@dataclass(frozen=True)
class Cost:
    """Of a call or many: money and tokens."""

    usd: Decimal = Decimal(0)
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usd + other.usd, self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.usd - other.usd, self.tokens - other.tokens)

    def within(self, limits: Budget) -> bool:
        """Whether this is no more than the limits."""
        return (limits.usd is None or self.usd <= limits.usd) and (
            limits.tokens is None or self.tokens <= limits.tokens
        )


@dataclass(eq=False)
class Account:
    """What a run has spent and what its calls in flight can still cost, in this process.

    ``uncounted`` and ``uncosted`` are as in ``Paid``.
    """

    spent: Cost = Cost()
    reserved: Cost = Cost()
    in_flight: int = 0
    uncounted: int = 0
    uncosted: int = 0
    read_at: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def reserve(self, most: Cost) -> None:
        """A call begins."""
        self.reserved += most
        self.in_flight += 1

    def release(self, most: Cost) -> None:
        """A call has ended, in whatever way. Those who wait look again."""
        self.reserved -= most
        self.in_flight -= 1
        self.changed.set()
        self.changed = asyncio.Event()

    def learn(self, paid: Paid) -> None:
        """The records know of at least so much."""
        self.read_at = time.monotonic()
        self.spent = Cost(
            max(self.spent.usd, paid.usd),
            max(self.spent.tokens, paid.tokens),
        )
        self.uncounted = max(self.uncounted, paid.uncounted)
        self.uncosted = max(self.uncosted, paid.uncosted)


class Accounts:
    """The accounts of the runs that a process works on just now."""

    def __init__(self) -> None:
        self._open: WeakValueDictionary[str, Account] = WeakValueDictionary()

    def of(self, name: str) -> Account:
        """The one account of a run, for as long as somebody holds it."""
        return self._open.setdefault(name, Account())


class SpendGuard:
    """Lets calls to one model begin, on one account.

    Args:
        account: shared by all that spend for the same run.
        limits: of the run.
        price: of the model; None where it is unknown, which a limit of money does not allow.
        read: what the records say is paid for the run.
        model: the name a user gives it, for messages and for what it may think.
        job: whom to name in the advice.
        draining: when set, what only waits leaves.
    """

    def __init__(
        self,
        account: Account,
        limits: Budget,
        price: Price | None,
        read: Callable[[], Awaitable[Paid]],
        *,
        model: str,
        job: str,
        draining: asyncio.Event,
    ) -> None:
        if price is None and limits.usd is not None:
            raise AssertionError("a limit of money needs a price; see require_prices")
        self._account = account
        self._limits = limits
        self._price = price or NOTHING
        self._read = read
        self._model = model
        self._job = job
        self._thoughts = REASONING_TOKENS if _REASONS.search(model) else 0
        self._draining = draining

    @asynccontextmanager
    async def call(self, request: ChatRequest) -> AsyncIterator[Callable[[ChatAnswer], None]]:
        """See ``CallGuard``.

        Raises:
            BudgetReachedError: it could pass the limit.
            ProviderRejectedError: a server does not count tokens, so that no limit can hold.
            WorkerDrainingError: this worker is leaving while it waits for room.
        """
        prompt = most_prompt_tokens(request)
        completion = request.max_tokens + self._thoughts
        most = Cost(self._price.cost(prompt, completion), prompt + completion)
        await self._reserve(most)

        def settle(answer: ChatAnswer) -> None:
            self._account.spent += self._cost(request, answer, most)

        try:
            yield settle
        finally:
            self._account.release(most)

    async def _reserve(self, most: Cost) -> None:
        account = self._account
        while True:
            await self._refresh()
            if self._is_blind:
                raise ProviderRejectedError(
                    f"{self._model}, or another model that this run asked, does not say how many "
                    "tokens its answers take, so --max-usd and --max-tokens cannot hold; run it "
                    "without them."
                )
            # No await from here to the reservation: nobody comes between.
            if (account.spent + account.reserved + most).within(self._limits):
                account.reserve(most)
                return
            if not account.in_flight:
                raise BudgetReachedError(self._sentence(most))
            await self._until_changed()

    @property
    def _is_blind(self) -> bool:
        """Whether a limit cannot hold, since nobody knows how much of it is spent."""
        limits, account = self._limits, self._account
        return bool(
            (limits.tokens is not None and account.uncounted)
            or (limits.usd is not None and account.uncosted)
        )

    async def _until_changed(self) -> None:
        waits = [
            asyncio.ensure_future(event.wait()) for event in (self._account.changed, self._draining)
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._draining.is_set():
            raise WorkerDrainingError(
                "This worker is leaving while it waits for room in the budget; any worker on this "
                "queue goes on."
            )

    async def _refresh(self) -> None:
        read_at = self._account.read_at
        if read_at is None or time.monotonic() - read_at >= REFRESH_SECONDS:
            self._account.learn(await self._read())

    def _cost(self, request: ChatRequest, answer: ChatAnswer, most: Cost) -> Cost:
        counts = counted(answer)
        if counts is None:
            self._account.uncounted += 1
            self._account.uncosted += self._price is not NOTHING
            return most
        if counts[1] > request.max_tokens:
            # It thinks before it answers, which our dialect lets it do at this length.
            self._thoughts = max(self._thoughts, REASONING_TOKENS)
        return Cost(self._price.cost(*counts), sum(counts))

    def _sentence(self, most: Cost) -> str:
        spent, limits = self._account.spent, self._limits
        if limits.usd is not None and spent.usd + most.usd > limits.usd:
            return (
                f"The budget is reached: {dollars(spent.usd)} of {dollars(limits.usd)} are spent, "
                f"and the next call to {self._model} could cost {dollars(most.usd)} more; "
                f"`stope resume {self._job} --max-usd N` goes on with a higher limit."
            )
        return (
            f"The budget is reached: {spent.tokens:,} of {limits.tokens or 0:,} tokens are used, "
            f"and the next call to {self._model} could take {most.tokens:,} more; "
            f"`stope resume {self._job} --max-tokens N` goes on with a higher limit."
        )


def most_prompt_tokens(request: ChatRequest) -> int:
    """More tokens than a prompt has, its schema among them: servers count it as read."""
    texts = [message.content for message in request.messages]
    texts.append(canonical_json(request.answer_schema))
    return sum(
        max(len(text.encode(errors="surrogatepass")) // _BYTES_PER_TOKEN, estimate_tokens(text))
        + _MESSAGE_TOKENS
        for text in texts
    )


def counted(answer: ChatAnswer) -> tuple[int, int] | None:
    """The tokens of an answer, in and out; None where its server does not say, or not sensibly."""
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    if prompt is None or completion is None or min(prompt, completion) < 0:
        return None
    return prompt, completion


def cost_of(answer: ChatAnswer, price: Price | None) -> Decimal | None:
    """What an answer cost; None where its price or its tokens are unknown.

    A model that costs nothing costs nothing however many tokens it takes.
    """
    if price is NOTHING:
        return Decimal(0)
    counts = counted(answer)
    return None if price is None or counts is None else price.cost(*counts)
