"""How long a server asks us to wait: the header ``Retry-After``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 3600.0
"""Seconds: nobody waits longer on a server's word."""


def seconds_of(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_WAIT)
