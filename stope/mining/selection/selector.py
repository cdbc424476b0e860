"""The selection port: what each sentence does, decided before anything is mined from it.

Selection is a step of its own because a prompt that extracts and selects at once takes long
sentences for claims and short ones for nothing (Claimify, arXiv 2502.10855, parts them too).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stope.models.sentence import Sentence, SentenceKind


class Selector(Protocol):
    """Says of every sentence which type of claim it makes, or why it makes none."""

    @property
    def identity(self) -> str:
        """Everything that decides its output; part of every segment's key."""

    async def select(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        """The kind of each sentence, in order.

        Args:
            sentences: consecutive sentences of one transcript; at least one.

        Raises:
            UnitError: the sentences cannot be told apart, and asking again would not help.
            StopeError: the engine cannot be used now or at all.
        """
