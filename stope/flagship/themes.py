"""Themes: what accepted claims are about, as clusters of their embeddings, each with a name.

The model names a cluster from its words; a name that is no name, or has nothing of the cluster in
it, gives way to the cluster's own most telling words.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stope.errors import UnitError
from stope.flagship.asking import keyed_answer, request_of
from stope.flagship.contrast import content_of, stem
from stope.flagship.numerals import numbers_of
from stope.llm.ledger import Ledger
from stope.models.frozen import Frozen
from stope.wording import normalise

if TYPE_CHECKING:
    from stope.embedding.embedder import Vectors

log = logging.getLogger(__name__)

PROMPT = "themes"
THEMES_VERSION = 1
"""Part of every plan's key: raise it when a change here would cluster or name differently."""

FEWEST_CLAIMS = 4
"""Fewer claims have no themes."""

FEWEST, MOST = 2, 7
_CLAIMS_PER_THEME = 4
_KEYWORDS = 5
_SHOWN = 2
_MAX_WORDS, _MAX_LETTERS = 4, 40
_TOKENS_PER_NAME = 16
_SPARE_TOKENS = 40


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_COMMON = _words(
    "according "
    "much many more most less least few fewer own next last first second again even only ever "
    "every each some any anybody anything people person think believe opinion view year years "
    "percent already almost never always another other same such still too than well good better "
    "best bad worse large small big long new old make makes made take takes get gets give gives "
    "go goes come came keep keeps put say says said tell tells told need needs want wants know "
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
    "sixty seventy eighty ninety hundred thousand million billion half third quarter our your "
    "expect instead far"
)
_NAME = re.compile(r"[^\W\d_][\w'’ &/-]*")  # noqa: RUF001  (as printed)


class Cluster(Frozen):
    """Claims of one theme: ids by rank, their telling words, and the claims in their middle."""

    claim_ids: tuple[str, ...]
    keywords: tuple[str, ...]
    central: tuple[str, ...]


class ThemePlan(Frozen):
    """The stored clusters."""

    clusters: tuple[Cluster, ...]


class ThemeNames(Frozen):
    """The committed output: a name for every cluster, in order; or none at all."""

    names: tuple[str, ...]


def cluster(ids: Sequence[str], texts: Sequence[str], vectors: Vectors) -> list[Cluster]:
    """The clusters of claims, the largest first; none where there are too few claims.

    Args:
        ids: of the claims, by rank.
        texts: what they say.
        vectors: their embeddings.
    """
    if len(ids) < FEWEST_CLAIMS:
        return []
    # numpy is loaded where it is needed: clients know this module for its version.
    from stope.flagship.geometry import clusters

    count = min(MOST, max(FEWEST, round(len(ids) / _CLAIMS_PER_THEME)))
    return [
        Cluster(
            claim_ids=tuple(ids[place] for place in sorted(places)),
            keywords=_keywords([texts[place] for place in places], texts),
            central=tuple(texts[place] for place in places[:_SHOWN]),
        )
        for places in clusters(vectors, count, FEWEST)
    ]


async def name_clusters(clusters: Sequence[Cluster], ledger: Ledger) -> ThemeNames:
    """Ask for names of one to four words; none where the model does not answer in the schema."""
    schema = keyed_answer("Themes", "t", len(clusters), str)
    lines = [
        f"t{number}: {' / '.join(item.central)}" for number, item in enumerate(clusters, start=1)
    ]
    limit = _TOKENS_PER_NAME * len(clusters) + _SPARE_TOKENS
    request = request_of(PROMPT, lines, schema, ledger, max_tokens=limit)
    try:
        answer = await ledger.ask(request, schema)
    except UnitError as error:
        log.warning("the themes keep names of their own words: %s", error)
        return ThemeNames(names=())
    return ThemeNames(
        names=tuple(getattr(answer, f"t{number}") for number in range(1, len(clusters) + 1))
    )


def true_names(
    clusters: Sequence[Cluster], told: Sequence[str], texts: dict[str, str]
) -> list[str]:
    """A name for every cluster, no two alike.

    Args:
        clusters: what is named.
        told: the model's names, or none.
        texts: what the claims say, by id.
    """
    names: list[str] = []
    for place, item in enumerate(clusters):
        name = _shortened(told[place]) if place < len(told) else ""
        words = frozenset().union(*(content_of(texts[claim]) for claim in item.claim_ids))
        taken = {other.casefold() for other in names}
        if not (_is_name(name) and content_of(name) & words) or name.casefold() in taken:
            name = _fallback(item.keywords, taken)
        names.append(f"{name[0].upper()}{name[1:]}")
    return names


def _shortened(told: str) -> str:
    """A name without its second half where it is too long: "Roofs and …"."""
    name = " ".join(told.split()).strip(" .\"'")
    return name if len(name.split()) <= _MAX_WORDS else name.split(" and ")[0]


def _is_name(text: str) -> bool:
    short = len(text) <= _MAX_LETTERS and len(text.split()) <= _MAX_WORDS
    return short and _NAME.fullmatch(text) is not None


def _fallback(keywords: Sequence[str], taken: set[str]) -> str:
    """The cluster's first words that no other theme is named by."""
    for count in range(min(2, len(keywords)), len(keywords) + 1):
        name = ", ".join(keywords[:count])
        if name.casefold() not in taken:
            return name
    return f"Theme {len(taken) + 1}"


def _keywords(texts: Sequence[str], everything: Sequence[str]) -> tuple[str, ...]:
    """The words that are frequent in a cluster and not everywhere, the most telling first."""
    overall = Counter(part for text in everything for part in content_of(text))
    inside = Counter(part for text in texts for part in content_of(text))
    form: dict[str, str] = {}
    for text in texts:
        for word in normalise(text):
            form.setdefault(stem(word), word)
    weight = {
        part: count * math.log(1 + len(everything) / overall[part])
        for part, count in inside.items()
        if len(form[part]) > 1 and form[part] not in _COMMON and not numbers_of(form[part])
    }
    best = sorted(weight, key=lambda part: (-weight[part], form[part]))
    return tuple(form[part] for part in best[:_KEYWORDS]) or ("other",)
