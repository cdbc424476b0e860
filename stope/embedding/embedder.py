"""The sentence embedding port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]


class SentenceEmbedder(Protocol):
    """Turns sentences into vectors whose dot product is their cosine similarity."""

    @property
    def identity(self) -> str:
        """Everything about the engine that decides its output; part of what is keyed on it."""

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """Unit vectors, shape ``(len(sentences), dimension)``; a blocking call.

        The vector of a sentence does not depend on the others, but for rounding.
        """
