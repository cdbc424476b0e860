"""Subtitles: the cues of SRT and WebVTT as passages, each with its speaker and its times.

WebVTT is https://www.w3.org/TR/webvtt1/; SRT has no standard and is read the way players do.
What a written transcript shares with subtitles, labels and clock times, is read here as well.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stope.errors import InputError

_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,3}):([0-9]{2})(?:[.,]([0-9]{1,9}))?")
_ARROW = "-->"
_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9]*:\S+")
_COMMENT = re.compile(r"NOTE(?:\s|$)|(?:STYLE|REGION)\s*$")

# Tags end on their line: across lines "<" and ">" are as likely to be less and more.
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?(?:[ \t]([^<>\n]*))?>|</v>")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:[. \t/][^<>\n]*)?>|<[0-9:.]+>|\{\\[^{}\n]*\}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TURN = re.compile("(?:>>+\\s*|[-\u2013\u2014]\\s+|-(?=[^\\W\\d_a-z]))")

_BRACKETED = re.compile(r"[(\[]\s*([^()\[\]]{1,60}?)\s*[)\]]:(?:\s+|$)")
_NAMED = re.compile(r"([*_]{0,3})([^\s:][^:]{0,59}?)(?:\1:|:\1)(?:\s+|$)")
_NOT_IN_A_NAME = re.compile(r"""[,;!?"<>=\u201c\u201d]|\b(?!Prof\.)\w{4,}\.""")
_NAME_WORDS = 4
_LABELLED_SHARE = 10
"""One line in so many with a label makes a file a labelled one."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Text of one speaker over one stretch of time, in seconds; not cut into words yet."""

    text: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None


class Label(NamedTuple):
    """A line's speaker, ``bracketed`` as in ``(Anna):``, and what follows."""

    name: str
    rest: str
    bracketed: bool


def split_lines(text: str) -> list[str]:
    r"""Lines as an editor numbers them; ``\r\r\n`` is the scar of a file converted twice."""
    return re.split(r"\r{0,2}\n|\r", text)


def seconds_of(clock: str) -> float | None:
    """Seconds of ``HH:MM:SS``, hours and decimals optional; ``None`` when it is no such time."""
    match = _CLOCK.fullmatch(clock)
    if match is None:
        return None
    hours, minutes, seconds = match[1], int(match[2]), int(match[3])
    if seconds > 59 or (hours is not None and minutes > 59):
        return None
    whole = int(hours or 0) * 3600 + minutes * 60 + seconds
    return round(whole + float(f"0.{match[4] or 0}"), 3)


def fault(name: str, line: int, what: str) -> InputError:
    """Error for one line of a file; ``what`` says what is wrong and how to mend it."""
    return InputError(f"{name}, line {line}: {what}")


def shown(text: str) -> str:
    """Text from the file, made short and printable for a message."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def split_label(line: str) -> Label | None:
    """Label that a line begins with: ``(any):``, ``[any]:``, ``Name:`` or ``**Name:**``."""
    if match := _BRACKETED.match(line):
        return Label(" ".join(match[1].split()), line[match.end() :], bracketed=True)
    match = _NAMED.match(line)
    if match is None:
        return None
    words = match[2].split()
    if len(words) > _NAME_WORDS or not words[0][0].isupper() or _NOT_IN_A_NAME.search(match[2]):
        return None
    return Label(" ".join(words), line[match.end() :], bracketed=False)


def speakers_among(labels: Sequence[Label | None], *, least: int) -> frozenset[str]:
    """Names that are speakers, given each line's label, or ``None`` where it has none.

    Sentences, too, begin like labels ("The question is: why"). So without brackets there must be
    at least so many labels, and a name must come again, be in capitals, or stand in a file where
    labels are common.
    """
    found = [label for label in labels if label]
    counts = Counter(label.name for label in found)
    bracketed = {label.name for label in found if label.bracketed}
    enough = sum(not label.bracketed for label in found) >= least
    common = len(found) * _LABELLED_SHARE >= len(labels)
    return frozenset(
        name
        for name, count in counts.items()
        if name in bracketed or (enough and (common or count > 1 or name.isupper()))
    )


def read_subtitles(text: str, name: str, *, webvtt: bool) -> list[Passage]:
    """Passages of a subtitle file, in order of time.

    A voice tag holds for its span; a label or a dash holds until the next one. A dash (or ``>>``)
    says that somebody else speaks, not who: these are "Speaker 1" and "Speaker 2" in turn.
    Times that cannot be read or run backwards, and text without a cue, are an ``InputError``.
    """
    cues = sorted(_read_cues(text, name, webvtt=webvtt), key=lambda cue: cue.start)
    lines = [line for cue in cues for line in _lines_of(cue)]
    turns = [None if line.voice else _TURN.match(line.text) for line in lines]
    rests = [
        line.text[turn.end() :] if turn else line.text
        for line, turn in zip(lines, turns, strict=True)
    ]
    labels = [
        None if line.voice else split_label(rest) for line, rest in zip(lines, rests, strict=True)
    ]
    speakers = speakers_among(labels, least=1)
    passages: list[Passage] = []
    speaker: str | None = None
    for line, turn, rest, label in zip(lines, turns, rests, labels, strict=True):
        text = rest
        if line.voice:
            speaker = None
        elif label and label.name in speakers:
            speaker, text = label.name, label.rest
        elif turn:
            speaker = "Speaker 2" if speaker == "Speaker 1" else "Speaker 1"
        passages.append(Passage(text, line.voice or speaker, line.cue.start, line.cue.end))
    return passages


@dataclass(slots=True)
class _Cue:
    start: float
    end: float
    lines: list[str] = field(default_factory=list)


class _Line(NamedTuple):
    cue: _Cue
    text: str
    voice: str | None = None


def _read_cues(text: str, name: str, *, webvtt: bool) -> list[_Cue]:
    """Cues in the file's order. A line is held while it may be the next cue's number or name."""
    cues: list[_Cue] = []
    held: tuple[int, str] | None = None
    opening, comment = True, False
    lines = split_lines(text)
    skipped = _header_lines(lines) if webvtt else 0
    for number, line in enumerate([*lines[skipped:], ""], start=skipped + 1):
        if not line.strip():
            _keep(held, cues, name)
            held, opening, comment = None, True, False
        elif comment:
            continue
        elif cue := _timing(number, line, name, expected=opening or held is not None):
            if not webvtt and held and not held[1].strip().isdecimal():
                _keep(held, cues, name)
            cues.append(cue)
            held, opening = None, False
        elif webvtt and opening and _COMMENT.match(line):
            comment = True
        else:
            _keep(held, cues, name)
            # With no blank line above it, only a number below text can belong to the next cue.
            numbers = not webvtt and line.strip().isdecimal() and bool(cues and cues[-1].lines)
            held = (number, line) if opening or numbers else None
            if held is None:
                _keep((number, line), cues, name)
            opening = False
    return cues


def _header_lines(lines: list[str]) -> int:
    """How many lines stand before the first blank line or cue, when the first is ``WEBVTT``."""
    if not lines[0].startswith("WEBVTT"):
        return 0
    return next(
        (index for index, line in enumerate(lines) if not line.strip() or _ARROW in line),
        len(lines),
    )


def _keep(held: tuple[int, str] | None, cues: list[_Cue], name: str) -> None:
    """Add a line to the last cue: players, too, show what follows a blank line in a cue."""
    if held is None:
        return
    if not cues:
        raise fault(
            name,
            held[0],
            f"the text {shown(held[1])} stands before the first cue's times; "
            "put a line such as 00:00:01.000 --> 00:00:04.000 above it or remove it.",
        )
    cues[-1].lines.append(held[1])


def _timing(number: int, line: str, name: str, *, expected: bool) -> _Cue | None:
    """Cue that a line opens, or ``None`` for a line of text.

    An arrow where times are ``expected``, or next to something like a time, is no text.
    """
    if _ARROW not in line:
        return None
    left, _, right = (part.strip() for part in line.partition(_ARROW))
    right, *settings = right.split() or [""]
    start, end = seconds_of(left), seconds_of(right)
    clocklike = any(re.match(r"[0-9]+:[0-9]", part) for part in (left, right))
    if not expected and not clocklike:
        return None
    if start is None or end is None or not all(map(_SETTING.fullmatch, settings)):
        raise fault(
            name,
            number,
            f"the times {shown(line)} cannot be read; write them alone on their line, "
            "as 00:00:01.000 --> 00:00:04.000.",
        )
    if end < start:
        raise fault(
            name, number, f"the cue ends before it starts ({shown(line)}); correct its times."
        )
    return _Cue(start, end)


def _lines_of(cue: _Cue) -> Iterator[_Line]:
    """Lines of a cue without markup; what one voice tag spans is one line."""
    plain, *voices = _VOICE.split(_LINE_BREAK.sub("\n", "\n".join(cue.lines)))
    yield from _plain_lines(cue, plain)
    for voice, spanned in zip(voices[::2], voices[1::2], strict=True):
        # re.split gives None for a group that took no part, as in </v>; its stubs say str.
        speaker = " ".join(_decode(voice or "").split())
        if speaker:
            yield _Line(cue, _decode(_TAG.sub("", spanned)), speaker)
        else:
            yield from _plain_lines(cue, spanned)


def _plain_lines(cue: _Cue, text: str) -> Iterator[_Line]:
    for line in _TAG.sub("", text).split("\n"):
        if decoded := _decode(line).strip():
            yield _Line(cue, decoded)


def _decode(text: str) -> str:
    """Entities as characters; only those closed by a semicolon, for "R&notes" is no entity."""
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)
