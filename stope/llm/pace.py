"""Pace: how many calls a provider bears at once, found out by what it refuses.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989): each round of
answers allows one call more, each round with a refusal (429) halves what is allowed. What was in
flight when the limit fell says nothing new, so its refusals do not halve it again.

No clock and no waiting in here: the caller says what time it is, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOOR = 1
DECREASE = 2
"""What the limit is divided by."""

FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 60.0
"""Seconds to wait after a refusal that does not say how long; doubled with each that follows."""

PATIENCE = 600.0
"""Seconds of nothing but refusals before the matter is somebody else's."""


@dataclass(frozen=True)
class Ticket:
    """A call that was let go: in which round."""

    round: int


class Pace:
    """The state of one provider.

    Args:
        ceiling: calls at once, at most and to begin with; at least 1.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = max(FLOOR, ceiling)
        self.in_flight = 0
        self.limit = self.ceiling
        """Calls that may be in flight: from 1 to the ceiling."""
        self.lowest = self.ceiling
        self.paused_until = 0.0
        self._answers = 0
        self._round = 0
        self._refusals = 0
        self._refused_since: float | None = None

    def allow(self, ceiling: int) -> None:
        """Somebody was told to make more calls at once than the ceiling."""
        if ceiling > self.ceiling:
            if self.lowest == self.ceiling:
                self.limit = self.lowest = ceiling
            self.ceiling = ceiling

    def pause(self, now: float) -> float:
        """Seconds until any call may begin; 0 when it is only a matter of room."""
        return max(0.0, self.paused_until - now)

    def may_begin(self, now: float) -> bool:
        """Whether one more call may begin."""
        return self.in_flight < self.limit and not self.pause(now)

    def begin(self) -> Ticket:
        """A call begins."""
        self.in_flight += 1
        return Ticket(self._round)

    def answered(self) -> None:
        """A call was answered."""
        self.in_flight -= 1
        self._refusals = 0
        self._refused_since = None
        self._answers += 1
        if self._answers >= self.limit:
            self._answers = 0
            self.limit = min(self.ceiling, self.limit + 1)

    def ended(self) -> None:
        """A call ended in a way that says nothing about the pace."""
        self.in_flight -= 1

    def refused(self, ticket: Ticket, retry_after: float | None, now: float) -> None:
        """A call was refused for coming too fast; ``retry_after`` is the wait it was told."""
        self.in_flight -= 1
        if self._refused_since is None or now - self.paused_until > LONGEST_BACK_OFF:
            # None before, or so long ago that nobody has been asking since.
            self._refused_since = now
        if ticket.round == self._round:
            self._round += 1
            self._refusals += 1
            self._answers = 0
            self.limit = max(FLOOR, self.limit // DECREASE)
            self.lowest = min(self.lowest, self.limit)
        if retry_after is None:
            retry_after = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(self._refusals - 1, 16))
        self.paused_until = max(self.paused_until, now + retry_after)

    def hopeless(self, now: float) -> bool:
        """Whether it has refused for too long, or will at the end of the pause it asked for."""
        if self._refused_since is None:
            return False
        return max(now, self.paused_until) - self._refused_since > PATIENCE
