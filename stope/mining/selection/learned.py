"""Selection learned from labelled sentences: embeddings and cues under logistic regression.

The sentences (``examples.jsonl``, ours) are what it knows. It is fitted to them when it is first
needed, which takes seconds, and what was fitted is kept beside the model weights. It costs
milliseconds per sentence where a language model costs seconds.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stope.embedding.embedder import SentenceEmbedder
from stope.identity import digest_of
from stope.mining.selection.cues import CUES_VERSION, cues_of
from stope.mining.selection.examples import Example, packaged_examples
from stope.models.sentence import Sentence, SentenceKind

log = logging.getLogger(__name__)

CUE_WEIGHT = 0.5
"""How much a cue counts beside an embedding of length 1."""

INVERSE_REGULARISATION = 10.0

STORY = frozenset({SentenceKind.ANECDOTE, SentenceKind.SPONSOR})
"""Kinds that come in runs: a story or a sponsor message is seldom one sentence long."""

STORY_CARRY = 0.15
"""How much of a neighbour's probability of such a kind is lent, between the same speaker's."""


@dataclass(frozen=True)
class _Fit:
    """A fitted softmax regression: ``weights`` (kinds, features), ``bias`` (kinds,)."""

    kinds: tuple[SentenceKind, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each kind, shape ``(sentences, kinds)``."""
        scores = features @ self.weights.T + self.bias
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class LearnedSelector:
    """Knows English sentences.

    Args:
        embedder: turns sentences into vectors.
        examples: at least one of each kind that is to be told apart; default: the packaged ones.
        keep: folder where what was fitted is kept for the next time.
    """

    def __init__(
        self,
        embedder: SentenceEmbedder,
        examples: Sequence[Example] | None = None,
        keep: Path | None = None,
    ) -> None:
        known = tuple(examples) if examples is not None else packaged_examples()
        self._embedder = embedder
        self.identity = digest_of(
            [
                "learned",
                embedder.identity,
                [(example.text, example.kind) for example in known],
                [CUES_VERSION, CUE_WEIGHT, INVERSE_REGULARISATION, STORY_CARRY],
            ]
        )[:16]
        kept = keep / f"selector-{self.identity}.npz" if keep is not None else None
        width = self._features([known[0].text]).shape[1]
        fit = _read(kept, width) if kept is not None else None
        if fit is None:
            fit = self._fitted(known)
            if kept is not None:
                _write(kept, fit)
        self._fit = fit
        self._claims = np.array([kind.claim_type is not None for kind in fit.kinds])

    async def select(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        """See ``Selector``."""
        return await asyncio.to_thread(self.kinds, sentences)

    def kinds(self, sentences: Sequence[Sentence]) -> tuple[SentenceKind, ...]:
        """The kind of each sentence.

        A sentence claims something when all types of claim together are likelier than not; which
        type, or why not, is then the likeliest on that side.
        """
        found = self._fit.probabilities(self._features([item.text for item in sentences]))
        found = self._carried(found, [sentence.speaker for sentence in sentences])
        claimed = found[:, self._claims].sum(axis=1) >= 0.5
        sided = np.where(claimed[:, None] == self._claims[None, :], found, -1.0)
        return tuple(self._fit.kinds[place] for place in sided.argmax(axis=1))

    def _fitted(self, known: Sequence[Example]) -> _Fit:
        # Imported here: it takes a second, and a kept fit does without.
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1000)
        features = self._features([example.text for example in known])
        model.fit(features, [example.kind.value for example in known])
        return _Fit(tuple(map(SentenceKind, model.classes_)), model.coef_, model.intercept_)

    def _features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        cues = np.stack([cues_of(text) for text in texts])
        return np.hstack([self._embedder.embed(texts), CUE_WEIGHT * cues])

    def _carried(
        self, found: NDArray[np.float64], speakers: Sequence[str | None]
    ) -> NDArray[np.float64]:
        lent = np.zeros_like(found)
        for column, kind in enumerate(self._fit.kinds):
            if kind in STORY:
                for row in range(len(found)):
                    for other in (row - 1, row + 1):
                        if 0 <= other < len(found) and speakers[other] == speakers[row]:
                            lent[row, column] += STORY_CARRY * found[other, column]
        total: NDArray[np.float64] = found + lent
        return np.asarray(total / total.sum(axis=1, keepdims=True))


def _read(path: Path, width: int) -> _Fit | None:
    """What was kept, for features of a width, or None where nothing whole is."""
    try:
        # Opened here: a path that is no archive would be left open, or be read as something else.
        with path.open("rb") as file, np.lib.npyio.NpzFile(file) as kept:
            kinds = tuple(SentenceKind(str(name)) for name in kept["kinds"])
            fit = _Fit(kinds, kept["weights"], kept["bias"])
        shapes = (fit.weights.shape, fit.bias.shape)
        if shapes != ((len(kinds), width), (len(kinds),)):
            raise ValueError(f"its arrays are of the shapes {shapes}")
        if not (np.isfinite(fit.weights).all() and np.isfinite(fit.bias).all()):
            raise ValueError("its numbers are not finite")
        return fit
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is not whole (%s); it is fitted anew", path, error)
        return None


def _write(path: Path, fit: _Fit) -> None:
    """Publish it whole; where that fails the next process fits again."""
    draft = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.npz")
    try:
        np.savez(
            draft, kinds=[kind.value for kind in fit.kinds], weights=fit.weights, bias=fit.bias
        )
        draft.replace(path)
    except OSError as error:
        log.warning("%s cannot be written (%s); it is fitted anew each time", path, error)
        draft.unlink(missing_ok=True)
