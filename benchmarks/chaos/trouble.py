"""What a language model's server can do wrong."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """What happens to one call."""

    SLOW = "slow answer"
    RESET = "connection reset before the answer"
    CUT = "connection reset in the middle of the answer"
    LIMITED = "429 with Retry-After"
    FAILED = "500"
    AWAY = "503"
    HANG = "no answer"


ERRORS = {Trouble.LIMITED: 429, Trouble.FAILED: 500, Trouble.AWAY: 503}
"""The statuses of those that are told."""
