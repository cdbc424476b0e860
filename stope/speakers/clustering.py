"""Clustering: how many speakers there are, and what each of them sounds like.

Stretches of speech, each the mean of a few window embeddings, are merged by average linkage on the
cosine between them, the most alike first. Long recordings are clustered batch by batch and the
batches' clusters are merged by their means, so that time and memory grow with the length of the
recording, not with its square. Everything is deterministic.

The thresholds belong to the embedder in ``stope.speakers.voiceprint``: means over ten seconds and
more of one voice agree by 0.9 and above, of two voices by 0.5 at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]

_BATCH = 600
"""Stretches that are compared with each other at once: memory is the square of it."""

_SAME = 0.68
"""Clusters whose stretches agree by this much on average are one voice."""

_STRICTER = (0.75, 0.82, 0.9, 1.01)
"""Tried in turn when more speakers are known to be there than were told apart."""

_SAME_MEANS = 0.85
"""Clusters whose means agree by this much are one voice: means have less noise."""

_SAME_MEANS_OF_LITTLE = 0.7
_LITTLE_SECONDS = 6.0
"""The mean of less speech than this has more noise."""

_LEAST_SECONDS = 2.0
"""Less speech than this makes no speaker: it goes to whom it sounds most like."""

_ROUNDS = 3


@dataclass(frozen=True)
class Stretches:
    """Stretches of speech, each by one voice.

    ``vectors`` have unit length, shape ``(stretches, dimensions)``; ``seconds`` say how long each
    is, shape ``(stretches,)``.
    """

    vectors: Vectors
    seconds: Weights


def find_voices(stretches: Stretches, speakers: int | None) -> Vectors:
    """One vector of unit length for every speaker, shape ``(speakers, dimensions)``.

    Args:
        stretches: one at least.
        speakers: how many there are, if somebody knows. Fewer come out where there are fewer
            stretches than that.
    """
    means, weights = _clusters(stretches, _SAME)
    for threshold in _STRICTER:
        if speakers is None or np.sum(weights >= _LEAST_SECONDS) >= speakers:
            break
        means, weights = _clusters(stretches, threshold)
    means, weights = _merged_means(means, weights, speakers)
    return _settled(stretches, _speakers_among(means, weights, speakers))


def unit(vectors: Vectors) -> Vectors:
    """Vectors brought to length 1; one of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Vectors = (vectors / np.maximum(norms, 1e-9)).astype(np.float32)
    return found


def _clusters(stretches: Stretches, threshold: float) -> tuple[Vectors, Weights]:
    """The means of the clusters of all batches, and how many seconds each has."""
    found = []
    for first in range(0, len(stretches.vectors), _BATCH):
        vectors = stretches.vectors[first : first + _BATCH]
        seconds = stretches.seconds[first : first + _BATCH]
        found.append(_means(vectors, seconds, _average_linkage(vectors, seconds, threshold)))
    return np.concatenate([item[0] for item in found]), np.concatenate([item[1] for item in found])


def _average_linkage(vectors: Vectors, seconds: Weights, threshold: float) -> Labels:
    """The cluster of each vector: pairs are merged while their average cosine is high enough."""
    cosines = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    weights = seconds.copy()
    owner = np.arange(len(vectors))
    nearest = cosines.argmax(axis=1)
    best = cosines[owner, nearest]
    for _ in range(len(vectors) - 1):
        one = int(best.argmax())
        if best[one] < threshold:
            break
        other = int(nearest[one])
        one, other = min(one, other), max(one, other)
        row = weights[one] * cosines[one] + weights[other] * cosines[other]
        row /= weights[one] + weights[other]
        row[one] = row[other] = -np.inf
        cosines[one], cosines[:, one] = row, row
        cosines[other], cosines[:, other] = -np.inf, -np.inf
        weights[one] += weights[other]
        owner[owner == other] = one
        best[other] = -np.inf
        stale = np.flatnonzero((nearest == one) | (nearest == other) | (row > best))
        stale = np.append(stale[np.isfinite(cosines[stale]).any(axis=1)], one)
        nearest[stale] = cosines[stale].argmax(axis=1)
        best[stale] = cosines[stale, nearest[stale]]
    return np.unique(owner, return_inverse=True)[1]


def _means(vectors: Vectors, seconds: Weights, labels: Labels) -> tuple[Vectors, Weights]:
    """Every label's mean vector, of unit length, and its seconds."""
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors * seconds[:, None])
    totals = np.zeros(len(sums))
    np.add.at(totals, labels, seconds)
    return unit(sums.astype(np.float32)), totals


def _merged_means(
    means: Vectors, weights: Weights, speakers: int | None
) -> tuple[Vectors, Weights]:
    """Clusters merged by their means: while they agree, or until no more are left than asked for.

    What is too short to be a speaker counts for none.
    """
    while len(means) > 1:
        least = np.where(weights < _LITTLE_SECONDS, _SAME_MEANS_OF_LITTLE, _SAME_MEANS)
        excess = means @ means.T - np.minimum(least[:, None], least)
        np.fill_diagonal(excess, -np.inf)
        one, other = (int(index) for index in np.unravel_index(excess.argmax(), excess.shape))
        if speakers is None:
            if excess[one, other] < 0:
                break
        elif int(np.sum(weights >= _LEAST_SECONDS)) <= speakers:
            break
        labels = np.arange(len(means))
        labels[max(one, other)] = min(one, other)
        labels = np.unique(labels, return_inverse=True)[1]
        means, weights = _means(means, weights, labels)
    return means, weights


def _speakers_among(means: Vectors, weights: Weights, speakers: int | None) -> Vectors:
    """The clusters that are speakers: those with enough speech, or as many as asked for."""
    order = np.argsort(-weights, kind="stable")
    count = max(1, int(np.sum(weights >= _LEAST_SECONDS)))
    return means[order[: count if speakers is None else speakers]]


def _settled(stretches: Stretches, voices: Vectors) -> Vectors:
    """Voices as the means of the stretches that are nearest to them."""
    for _ in range(_ROUNDS):
        labels = (stretches.vectors @ voices.T).argmax(axis=1)
        sums = np.zeros(voices.shape)
        np.add.at(sums, labels, stretches.vectors * stretches.seconds[:, None])
        heard = np.isin(np.arange(len(voices)), labels)
        voices = np.where(heard[:, None], unit(sums.astype(np.float32)), voices)
    return voices
