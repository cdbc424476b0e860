"""A fake embedder for tests: sentences that share words are near."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from stope.embedding.embedder import Vectors
from stope.wording import normalise

_DIMENSION = 512


class WordEmbedder:
    """A bag of words, hashed: no model, no meaning, the same everywhere."""

    identity = "words"

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """See ``SentenceEmbedder``."""
        found = np.zeros((len(sentences), _DIMENSION), dtype=np.float32)
        for row, sentence in enumerate(sentences):
            for word in normalise(sentence) or [""]:
                digest = sha256(word.encode()).digest()
                found[row, int.from_bytes(digest[:4], "big") % _DIMENSION] += 1
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))
