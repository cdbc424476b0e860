"""Sentence vectors compared: neighbours, centrality, clusters.

Similarities are rounded before they are ordered, so that the last bits of a float decide nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stope.embedding.embedder import Vectors

_ROWS = 1024
_ROUNDS = 20
_DIGITS = 4


def neighbours(vectors: Vectors, count: int, least: float) -> list[tuple[int, int, float]]:
    """Pairs ``(one, other, similarity)``, ``one < other``, in order.

    Each vector is paired with its nearest ones, at most ``count``, that are at least so similar.
    """
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(vectors), _ROWS):
        rows = np.round(vectors[start : start + _ROWS] @ vectors.T, _DIGITS)
        for row, likeness in enumerate(rows):
            place = start + row
            likeness[place] = -1
            for other in map(int, np.argsort(-likeness, kind="stable")[:count]):
                if likeness[other] >= least:
                    found[min(place, other), max(place, other)] = float(likeness[other])
    return [(one, other, likeness) for (one, other), likeness in sorted(found.items())]


def quarters(vectors: Vectors) -> list[int]:
    """The quarter of each vector by its mean similarity to all, 0 to 3, so that they spread."""
    count = len(vectors)
    mean = vectors.sum(axis=0) / max(1, count)
    order = np.argsort(np.round(vectors @ mean, _DIGITS), kind="stable")
    found = [0] * count
    for rank, place in enumerate(order):
        found[int(place)] = 4 * rank // count
    return found


def clusters(vectors: Vectors, count: int, fewest: int) -> list[list[int]]:
    """Places by cluster, the largest first, in each those nearest to its middle first.

    Spherical k-means from the points farthest apart, after what all vectors share is taken away: so
    a recording about one thing falls into its sides. A vector that is alone goes to the nearest
    cluster, while more than ``fewest`` are left.
    """
    apart = vectors - vectors.mean(axis=0)
    apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
    labels = _labels(apart, count, fewest)
    found: list[list[int]] = []
    for label in sorted(set(labels), key=lambda value: (-labels.count(value), labels.index(value))):
        places = [place for place, other in enumerate(labels) if other == label]
        likeness = np.round(apart[places] @ apart[places].sum(axis=0), _DIGITS)
        found.append([places[int(place)] for place in np.argsort(-likeness, kind="stable")])
    return found


def _labels(apart: Vectors, count: int, fewest: int) -> list[int]:
    centres = apart[_seeds(apart, count)]
    labels = np.full(len(apart), -1)
    for _ in range(_ROUNDS):
        following = np.round(apart @ centres.T, _DIGITS).argmax(axis=1)
        if (following == labels).all():
            break
        labels = following
        for label in range(count):
            if (labels == label).any():
                middle = apart[labels == label].sum(axis=0)
                centres[label] = middle / max(float(np.linalg.norm(middle)), 1e-9)
    return _without_singles([int(label) for label in labels], centres, fewest)


def _seeds(apart: Vectors, count: int) -> list[int]:
    """The most central vector, then always the one that is farthest from those before."""
    central = np.round(apart @ np.maximum(apart, 0).sum(axis=0), _DIGITS)
    found = [int(central.argmax())]
    nearest: NDArray[np.float32] = np.full(len(apart), -1, dtype=np.float32)
    while len(found) < count:
        nearest = np.maximum(nearest, np.round(apart @ apart[found[-1]], _DIGITS))
        nearest[found] = 2
        found.append(int(nearest.argmin()))
    return found


def _without_singles(labels: Sequence[int], centres: Vectors, fewest: int) -> list[int]:
    found = list(labels)
    for label in sorted(set(found)):
        sizes = Counter(found)
        if sizes[label] == 1 and len(sizes) > fewest:
            likeness = np.round(centres @ centres[label], _DIGITS)
            others = [other for other in sizes if other != label]
            nearest = max(others, key=lambda other: (float(likeness[other]), -other))
            found[found.index(label)] = nearest
    return found
