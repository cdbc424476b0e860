"""Repetition in text: loops, where a recognizer says the same again and again."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

COMPRESSION_LIMIT = 2.4
"""Text that zlib shrinks further than this repeats itself (Radford et al. 2022, section 4.5)."""

MIN_REPEATS = 4
MIN_LOOP_WORDS = 8
"""A phrase said four times over at least eight words; people do say "no, no, no, no"."""

LONGEST_PHRASE = 15
_MIN_BYTES = 100


@dataclass(frozen=True)
class Loop:
    """Words ``[first, end)`` are one phrase of ``period`` words, again and again."""

    first: int
    end: int
    period: int

    @property
    def repeats(self) -> int:
        """How many times the whole phrase stands there."""
        return (self.end - self.first) // self.period


def compression_ratio(text: str) -> float:
    """Bytes of UTF-8 over bytes after zlib; 0 for texts too short to tell."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if len(data) >= _MIN_BYTES else 0.0


def find_loops(words: Sequence[str]) -> list[Loop]:
    """Loops in order, disjoint; the shortest phrase that explains one names it.

    Args:
        words: normalised, one string each (see ``stope.wording``).
    """
    loops: list[Loop] = []
    at = 0
    while at < len(words):
        found = _loop_at(words, at)
        if found is None:
            at += 1
        else:
            loops.append(found)
            at = found.end
    return loops


def _loop_at(words: Sequence[str], first: int) -> Loop | None:
    for period in range(1, min(LONGEST_PHRASE, (len(words) - first) // MIN_REPEATS) + 1):
        end = first + period
        while end < len(words) and words[end] == words[end - period]:
            end += 1
        if end - first >= max(MIN_LOOP_WORDS, MIN_REPEATS * period):
            return Loop(first, end, period)
    return None
