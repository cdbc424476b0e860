"""Cues: a transcript's words, gathered into pieces that can be read in time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from stope.models.transcript import Transcript
from stope.report.lines import one_line

LINE_CHARACTERS = 42
"""Of at most two lines a cue. This and the two limits below: Netflix Timed Text Style Guide."""

LONGEST = 7_000
"""Milliseconds a cue may stand."""

SHORTEST = 833
"""Milliseconds a cue stands where the next one leaves it the time."""

_PAUSE = 1_000
_WORD = 400  # milliseconds of a word whose end nothing says: a calm speaker's pace


class Cue(NamedTuple):
    """At most two lines that stand from ``start`` to ``end``, in milliseconds."""

    start: int
    end: int
    lines: list[str]
    speaker: str | None


class _Piece(NamedTuple):
    """A word, or a line's worth of a longer one, with its time in milliseconds."""

    text: str
    start: int
    end: int
    speaker: str | None
    closes: bool  # its utterance


def cues_of(transcript: Transcript) -> list[Cue]:
    """Cues in order: none overlaps, or is longer than 7 s or two lines of 42.

    Words that share their times (a cue of the subtitles they came from) are spread over them. All
    words of a cue are one speaker's. No line holds an arrow, which players find cue times by.
    """
    gathered = list(_cues(_pieces(transcript)))
    starts: list[int] = []
    for cue in gathered:
        starts.append(max(cue[0].start, starts[-1] + 1 if starts else 0))
    found: list[Cue] = []
    for number, (cue, start) in enumerate(zip(gathered, starts, strict=True), start=1):
        end = min(max(cue[-1].end, start + SHORTEST), start + LONGEST, *starts[number : number + 1])
        found.append(Cue(start, end, _layout(_text(cue)), cue[0].speaker))
    return found


def _cues(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """A cue ends with its speaker, before a pause, after a sentence, or when it is full."""
    cue: list[_Piece] = []
    for piece in pieces:
        if cue and (
            piece.speaker != cue[-1].speaker
            or piece.start - cue[-1].end >= _PAUSE
            or (cue[-1].closes and len(_text(cue)) >= LINE_CHARACTERS)
        ):
            yield cue
            cue = []
        while cue and not _fits([*cue, piece]):
            cut = _phrase_end(cue)
            yield cue[:cut]
            cue = cue[cut:]
        cue.append(piece)
    if cue:
        yield cue


def _fits(cue: list[_Piece]) -> bool:
    if cue[-1].end - cue[0].start > LONGEST:
        return False
    text = _text(cue)
    if len(text) <= LINE_CHARACTERS:
        return True
    return text.find(" ", max(0, len(text) - LINE_CHARACTERS - 1), LINE_CHARACTERS + 1) >= 0


def _phrase_end(cue: list[_Piece]) -> int:
    """Where a full cue is best cut: after its last comma or stop, unless that is too near."""
    for cut in range(len(cue) - 1, 0, -1):
        if cue[cut - 1].text.endswith((",", ";", ":", ".", "?", "!", "…")):
            return cut if len(_text(cue[:cut])) >= LINE_CHARACTERS // 2 else len(cue)
    return len(cue)


def _text(cue: list[_Piece]) -> str:
    return " ".join(piece.text for piece in cue)


def _layout(text: str) -> list[str]:
    """The text on one line, or on two of nearly equal length; no line at all if it needs more."""
    if len(text) <= LINE_CHARACTERS:
        return [text]
    breaks = [
        place
        for place, character in enumerate(text)
        if character == " " and max(place, len(text) - place - 1) <= LINE_CHARACTERS
    ]
    if not breaks:
        return []
    middle = min(breaks, key=lambda place: abs(2 * place + 1 - len(text)))
    return [text[:middle], text[middle + 1 :]]


def _pieces(transcript: Transcript) -> Iterator[_Piece]:
    """Every word in order; those that share their times each get a share of them."""
    words, speakers = transcript.words, transcript.word_speakers
    closing = {utterance.end_word - 1 for utterance in transcript.utterances}
    groups = [
        list(group)
        for _, group in groupby(
            range(len(words)), lambda index: (words[index].start, words[index].end)
        )
    ]
    starts = [words[group[0]].start for group in groups]
    start = end = 0
    for place, group in enumerate(groups):
        given_start, given_end = starts[place], words[group[0]].end
        start = end if given_start is None else max(start, _milliseconds(given_start))
        if given_end is None:
            later = [
                _milliseconds(item) for item in starts[place + 1 : place + 2] if item is not None
            ]
            end = max(start, min([start + _WORD * len(group), *later]))
        else:
            end = max(start, _milliseconds(given_end))
        parts = [(part, index, last) for index in group for part, last in _parts(words[index].text)]
        weight = sum(len(part) + 1 for part, _, _ in parts)
        said = 0
        for part, index, last in parts:
            begin, said = said, said + len(part) + 1
            yield _Piece(
                text=part,
                start=start + (end - start) * begin // weight,
                end=start + (end - start) * said // weight,
                speaker=speakers[index],
                closes=last and index in closing,
            )


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """A word cut to lines, which only an address or a script without spaces needs.

    An arrow is what players find cue times by.
    """
    word = one_line(text).replace("-->", "→")
    if 0 < len(word) <= LINE_CHARACTERS:
        yield word, True
        return
    parts = textwrap.wrap(word, LINE_CHARACTERS, break_on_hyphens=False)
    for number, part in enumerate(parts, start=1):
        yield part, number == len(parts)


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
