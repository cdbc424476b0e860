"""A transcript as it is read: its lines, with what is missing or doubtful in its place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from stope.models.gap import Gap
from stope.models.transcript import Flag, FlagKind
from stope.report.document import Document
from stope.report.lines import Line, clock, transcript_lines

FLAG_NAMES: dict[FlagKind, str] = {
    FlagKind.LOOP: "Repeats itself",
    FlagKind.STOCK_PHRASE: "Stock phrase",
    FlagKind.SPEECH_WITHOUT_TEXT: "Speech without text",
    FlagKind.TEXT_WITHOUT_SPEECH: "Text without speech",
    FlagKind.LOW_CONFIDENCE: "Hardly understood",
}

NAMES = ".names"
"""Ends the id of the unit that looks for what a segment names, beside what it claims."""

_UNDONE = {
    "transcribe": "Not transcribed",
    "diarize": "Speakers not told apart",
    "mine": "Not mined for claims",
    "merge": "Not compared with other claims",
    "split": "Not taken apart",
    "flagship": "Not judged",
    "summary": "Not summed up",
    "themes": "Themes not named",
    "upload": "Not uploaded",
}


class Notice(NamedTuple):
    """What a reader must know before the line that follows."""

    kind: Literal["gap", "flag"]
    start: float
    sentence: str


def passages(document: Document) -> Iterator[Line | Notice]:
    """Every line, and each gap and flag that has a place before the line it is about.

    That is the line with a flag's first word, or else the first line that starts after it. A line
    without a time stays behind the line before it.
    """
    if document.transcript is None:
        return
    in_words = deque(
        sorted(
            (flag.first_word, Notice("flag", flag.start, flag_sentence(flag)))
            for flag in document.flags
            if flag.first_word is not None
        )
    )
    in_time = deque(
        sorted(
            [
                Notice("flag", flag.start, flag_sentence(flag))
                for flag in document.flags
                if flag.first_word is None
            ]
            + [
                Notice("gap", gap.start, gap_sentence(gap))
                for gap in document.all_gaps
                if gap.start is not None
            ],
            key=lambda notice: notice.start,
        )
    )
    for line in transcript_lines(document.transcript):
        while in_time and line.start is not None and in_time[0].start <= line.start:
            yield in_time.popleft()
        while in_words and in_words[0][0] < line.end_word:
            yield in_words.popleft()[1]
        yield line
    yield from in_time
    yield from (notice for _, notice in in_words)


def gap_sentence(gap: Gap) -> str:
    """``Not transcribed from 03:20 to 03:48: why``."""
    return f"{gap_name(gap)}{_between(gap.start, gap.end)}: {gap.reason}"


def gap_name(gap: Gap) -> str:
    """What was not done, in two or three words."""
    if gap.stage == "mine" and gap.unit_id.endswith(NAMES):
        return "Not searched for names"
    return _UNDONE.get(gap.stage, f"Not done ({gap.stage})")


def flag_sentence(flag: Flag) -> str:
    """``Doubtful from 03:20 to 03:48 (repeats itself): why``."""
    name = FLAG_NAMES[flag.kind].lower()
    note = f": {flag.note}" if flag.note.strip() else ""
    return f"Doubtful{_between(flag.start, flag.end)} ({name}){note}"


def _between(start: float | None, end: float | None) -> str:
    if start is None:
        return ""
    return f" from {clock(start)}" + (f" to {clock(end)}" if end is not None else "")
