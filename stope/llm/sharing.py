"""How a ledger gets along with others: who ask the same, and who ask the same provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from stope.leases import Leases, Look, pause_or_leave, pauses
from stope.llm.governor import Governor, Note, no_note

T = TypeVar("T")


@dataclass
class Looks:
    """Somebody's looks at what another run is asking: the pauses between them, and how many."""

    pauses: Iterator[float] = field(default_factory=pauses)
    count: int = 0


@dataclass(frozen=True)
class Sharing:
    """What a run shares with others.

    Attributes:
        leases: what its attempt holds; None where nobody else can ask the same.
        governor: of the provider; None where it may be asked at any pace.
        note: told what is waited for, and None when it is over.
        draining: when set, what only waits leaves.
    """

    leases: Leases | None = None
    governor: Governor | None = None
    note: Note = no_note
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def slowed_to(self) -> int | None:
        """Calls at once that the provider bears just now; None if that is all we would make."""
        if self.governor is None or self.governor.pace.limit >= self.governor.pace.ceiling:
            return None
        return self.governor.pace.limit

    async def lease(self, key: str, look: Look) -> bool:
        """Whether a request is ours to ask now; ``look`` follows where there are leases."""
        return self.leases is None or bool(await self.leases.take([key], look))

    async def holds(self, key: str) -> bool:
        """Whether a request is still ours, asked anew."""
        return self.leases is None or await self.leases.confirmed(key)

    def looks(self) -> Looks:
        """None yet."""
        return Looks()

    async def wait(self, looks: Looks) -> None:
        """Wait before the next look.

        Raises:
            WorkerDrainingError: this worker is leaving.
        """
        if looks.count == 0:
            self.note("another run is asking the same; waiting for its answer")
        looks.count += 1
        await pause_or_leave(next(looks.pauses), self.draining)

    def waited(self, looks: Looks) -> None:
        """It is over."""
        if looks.count:
            self.note(None)

    async def govern(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call as soon as the provider bears it; see ``Governor``."""
        if self.governor is None:
            return await call()
        return await self.governor.call(call, note=self.note, draining=self.draining)

    async def give_up(self, key: str) -> None:
        """There is no accepted answer to a request: others may ask."""
        if self.leases is not None:
            await self.leases.give_up([key])

    def finished(self, key: str) -> None:
        """There is an accepted answer to a request."""
        if self.leases is not None:
            self.leases.finished([key])


ALONE = Sharing()
"""With nobody."""
