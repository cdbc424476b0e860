"""Values that this process has made or read, so that they are not read a second time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 512 * 1024 * 1024
"""Of values kept: the arrays of a few hundred pictures, and little beside a model's weights."""


@dataclass
class CacheCounts:
    """What was asked for: found in memory, or read from the storage."""

    from_memory: int = 0
    from_storage: int = 0


class ContextCache:
    """Keeps the values used last, by digest and type, up to a number of bytes.

    One for a process, used from its event loop only. A value is kept as its codec has it: as it is
    where nobody can change it, else encoded.

    Args:
        most_bytes: of all values together; a larger one is not kept at all.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.counts = CacheCounts()
        self._most = most_bytes
        self._held: OrderedDict[tuple[str, type], tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Of all values that are kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, digest: str, kind: type, value: object, weight: int) -> None:
        """Keep a value of a type; those used longest ago make room for it."""
        key = (digest, kind)
        if key in self._held:
            self._bytes -= self._held.pop(key)[1]
        if weight > self._most:
            return
        self._held[key] = (value, weight)
        self._bytes += weight
        while self._bytes > self._most:
            _, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed

    def find(self, digest: str, kind: type) -> Any | None:
        """The value, if it is kept; None where it has to be read."""
        held = self._held.get((digest, kind))
        if held is None:
            return None
        self._held.move_to_end((digest, kind))
        return held[0]
