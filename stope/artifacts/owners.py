"""Whose artifacts lie in a store: records that use it leave a mark there, one object each.

Only records know what is needed, and only of their own: whoever clears out has to know whether
there are others.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime

OWNERS = "owners"
"""The folder of the marks."""


def owner_path(owner: str) -> str:
    """The name of a mark."""
    return f"{OWNERS}/{owner}"


def owner_note() -> bytes:
    """What a mark says to people: which machine left it, and when."""
    host = platform.node() or "an unnamed machine"
    return f"{host}, {datetime.now(UTC):%Y-%m-%d}".encode()
