"""The transcript on the page: lines cut where something begins or ends, in stretches."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from stope.models.knowledge import JudgedClaim
from stope.report.document import Document
from stope.report.lines import Line, one_line
from stope.report.passages import Notice, passages

STRETCH = 40
"""Lines and notices that a browser lays out together, and not before they are near the window."""


class Run(NamedTuple):
    """Words of a line that nothing divides.

    ``cited``: they are evidence of an accepted claim; ``doubtful``: they are flagged; ``refs`` are
    the accepted claims whose evidence ends with them.
    """

    first_word: int
    text: str
    cited: bool
    doubtful: bool
    refs: list[JudgedClaim]


class ReadLine(NamedTuple):
    """A line, its runs, and when each of its words begins.

    ``times`` are hundredths of a second from the line's start, one for each word as it is shown,
    empty when none is known.
    """

    line: Line
    runs: list[Run]
    times: str


def stretches_of(document: Document) -> Iterator[list[ReadLine | Notice]]:
    """The whole transcript, ``STRETCH`` lines and notices at a time."""
    items = _read(document)
    while stretch := list(islice(items, STRETCH)):
        yield stretch


def _read(document: Document) -> Iterator[ReadLine | Notice]:
    cited, refs, cuts = _citations(document)
    doubtful = _doubts(document)
    places = sorted(cuts | _edges(doubtful))
    words = document.transcript.words if document.transcript else ()
    for item in passages(document):
        if isinstance(item, Notice):
            yield item
            continue
        inside = places[bisect_right(places, item.first_word) : bisect_left(places, item.end_word)]
        runs = [
            Run(
                first_word=first,
                text=one_line(" ".join(word.text for word in words[first:end])),
                cited=first in cited,
                doubtful=first in doubtful,
                refs=refs.get(end, []),
            )
            for first, end in pairwise([item.first_word, *inside, item.end_word])
        ]
        yield ReadLine(item, runs, _times(document, item))


def _citations(
    document: Document,
) -> tuple[set[int], dict[int, list[JudgedClaim]], set[int]]:
    """Cited words, claims by the word after their evidence, and where runs must be cut.

    The quote of any claim can be lit, so that its ends are cuts too.
    """
    cited: set[int] = set()
    refs: dict[int, list[JudgedClaim]] = {}
    cuts: set[int] = set()
    for judged in document.accepted:
        for item in judged.claim.evidence:
            if item.first_word is not None and item.end_word is not None:
                cited.update(range(item.first_word, item.end_word))
                refs.setdefault(item.end_word, []).append(judged)
    others = (*document.rejected, *document.merged, *document.split)
    claims = [judged.claim for judged in (*document.accepted, *others)]
    for claim in (*claims, *document.unjudged):
        for item in claim.evidence:
            if item.first_word is not None and item.end_word is not None:
                cuts |= {item.first_word, item.end_word}
    return cited, refs, cuts


def _doubts(document: Document) -> set[int]:
    words: set[int] = set()
    for flag in document.flags:
        if flag.first_word is not None and flag.end_word is not None:
            words.update(range(flag.first_word, flag.end_word))
    return words


def _edges(words: set[int]) -> set[int]:
    return {word for word in words if word - 1 not in words} | {
        word + 1 for word in words if word + 1 not in words
    }


def _times(document: Document, line: Line) -> str:
    if document.transcript is None or line.start is None:
        return ""
    offsets: list[str] = []
    last = 0
    for word in document.transcript.words[line.first_word : line.end_word]:
        if word.start is not None:
            last = max(last, round(100 * (word.start - line.start)))
        # A word may hold white space: it is shown, and counted in the page, as several.
        offsets += [str(last)] * len(one_line(word.text).split())
    return " ".join(offsets)
