"""Times for the words of a text, from what a server says of them: some, all or none.

A server's list of timed words is a hint. It usually lacks punctuation, it may be cut off, and its
times may run backwards or leave the chunk. The text is what counts: each of its words takes the
time of the equal word in the list, as long as those times are possible; the others are spread
between their neighbours by their length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from stope.wording import normalise

_SLACK = 0.5
"""Seconds that a time may lie outside its chunk: models round."""


@dataclass(frozen=True)
class TimedText:
    """A text and its time in seconds: one word, or a stretch of words."""

    text: str
    start: float
    end: float


def time_words(
    stretches: Sequence[TimedText], hints: Sequence[TimedText], duration: float
) -> tuple[list[TimedText], list[bool]]:
    """Words in order, inside ``[0, duration]``, never running backwards.

    Args:
        stretches: the whole text, in order, in one piece or several; a piece whose times cannot be
            true has no say.
        hints: the server's own words.
        duration: of the chunk, seconds.

    Returns:
        The words, and for each whether its time is a hint's.
    """
    possible = [item for item in hints if _inside(item, duration)]
    possible = [possible[index] for index in _rising([item.start for item in possible])]
    words, bounds = _split(stretches, possible, duration)
    anchors = _anchors(words, possible)
    timed: list[TimedText] = []
    index = 0
    while index < len(words):
        if index in anchors:
            timed.append(TimedText(words[index], anchors[index].start, anchors[index].end))
            index += 1
            continue
        stop = index
        while stop < len(words) and stop not in anchors and bounds[stop] == bounds[index]:
            stop += 1
        after = anchors[stop].start if stop in anchors else duration
        low = max(bounds[index][0], timed[-1].end if timed else 0.0)
        timed += _spread(words[index:stop], low, max(low, min(bounds[index][1], after)))
        index = stop
    return _ordered(timed, duration), [index in anchors for index in range(len(words))]


def _split(
    stretches: Sequence[TimedText], hints: Sequence[TimedText], duration: float
) -> tuple[list[str], list[tuple[float, float]]]:
    """The words of the text, each with the times between which it must lie."""
    words: list[str] = []
    bounds: list[tuple[float, float]] = []
    starts = _rising([piece.start for piece in stretches])
    for index, piece in enumerate(stretches):
        parts = piece.text.split()
        if len(parts) == 1 and len(hints) > 2 * len(stretches) and len(normalise(piece.text)) > 2:
            # Written without spaces: the server's words are the only ones there are.
            parts = [item.text for item in hints if piece.start <= item.start < piece.end] or parts
        true = index in starts and _inside(piece, duration)
        words += parts
        bounds += [(piece.start, piece.end) if true else (0.0, duration)] * len(parts)
    return words, bounds


def _anchors(words: Sequence[str], hints: Sequence[TimedText]) -> dict[int, TimedText]:
    """Which word of the text is which hint, by their order."""
    forms = [" ".join(normalise(word)) for word in words]
    hint_forms = [" ".join(normalise(hint.text)) for hint in hints]
    blocks = SequenceMatcher(None, forms, hint_forms, autojunk=False).get_matching_blocks()
    return {
        block.a + step: hints[block.b + step]
        for block in blocks
        for step in range(block.size)
        if forms[block.a + step]
    }


def _spread(words: Sequence[str], start: float, end: float) -> list[TimedText]:
    letters = sum(map(len, words))
    timed: list[TimedText] = []
    at = start
    for word in words:
        until = at + (end - start) * len(word) / letters
        timed.append(TimedText(word, at, until))
        at = until
    return timed


def _ordered(timed: Sequence[TimedText], duration: float) -> list[TimedText]:
    last = 0.0
    ordered: list[TimedText] = []
    for item in timed:
        start = min(max(item.start, last), duration)
        end = min(max(item.end, start), duration)
        ordered.append(TimedText(item.text, start, end))
        last = end
    return ordered


def _inside(item: TimedText, duration: float) -> bool:
    return -_SLACK <= item.start <= item.end <= duration + _SLACK


def _rising(times: Sequence[float]) -> list[int]:
    """Indices of a longest part of some times that never runs backwards."""
    tails: list[float] = []
    ends: list[int] = []
    before: list[int] = []
    for index, time in enumerate(times):
        place = bisect_right(tails, time)
        before.append(ends[place - 1] if place else -1)
        if place == len(tails):
            tails.append(time)
            ends.append(index)
        else:
            tails[place] = time
            ends[place] = index
    rising: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        rising.append(at)
        at = before[at]
    return rising[::-1]
