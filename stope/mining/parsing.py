"""Parsing: a text transcript given by a user, in any of its formats, as one ``Transcript``.

Words keep their punctuation and are parted by white space alone. What a file says stays in it:
a line that cannot be read is an error that names it, never left out.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from stope.errors import InputError
from stope.mining.subtitles import (
    Label,
    Passage,
    fault,
    read_subtitles,
    seconds_of,
    shown,
    speakers_among,
    split_label,
    split_lines,
)
from stope.models.transcript import TRANSCRIPT_SCHEMA, Transcript, Utterance, Word
from stope.utterances import cut_utterances

TEXT_SUFFIXES = frozenset({".json", ".md", ".srt", ".txt", ".vtt"})
"""Suffixes, in lower case, of the files that are text transcripts."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""JSON can escape them, but PostgreSQL stores no NUL and UTF-8 no half of a surrogate pair."""

_CLOCK = re.compile(r"\[((?:[0-9]{1,4}:)?[0-9]{1,3}:[0-9]{2}(?:[.,][0-9]{1,9})?)\]:?\s*")

_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_RULE = re.compile(r"\s*(?:(?:[-*_=]\s*){3,}|`{3,}\w*\s*)$")
_BULLET = re.compile(r"\s*(?:>\s*|[-*+]\s+)+")
_YAML_KEY = re.compile(r"[A-Za-z_][\w-]*:(?:\s|$)")
_MARKS = re.compile(r"\n[ \t]*\n|[*_]+")


def parse_transcript(data: bytes, suffix: str, name: str) -> Transcript:
    """Transcript that a file holds; ``suffix`` is in lower case, ``name`` is for messages.

    A file that is no UTF-8 or marked UTF-16 text, has no word in it, or breaks its format is an
    ``InputError`` that says which line to mend.
    """
    if suffix not in TEXT_SUFFIXES:
        raise InputError(
            f"{name} has the suffix {shown(suffix)}, which is no text transcript's; "
            f"give one of {', '.join(sorted(TEXT_SUFFIXES))}."
        )
    text = _decode(data, name)
    if suffix == ".json":
        transcript = _read_json(text, name)
    elif suffix in (".srt", ".vtt"):
        transcript = _assemble(read_subtitles(text, name, webvtt=suffix == ".vtt"))
    else:
        lines = _markdown_lines(text) if suffix == ".md" else enumerate(split_lines(text), 1)
        transcript = _assemble(_read_prose([_line(*line, name) for line in lines], name))
    if not any(character.isalnum() for word in transcript.words for character in word.text):
        raise InputError(f"{name} has not one word in it; give a transcript of what was said.")
    return transcript


def _decode(data: bytes, name: str) -> str:
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if marked else "utf-8"
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(split_lines(data[: error.start].decode(encoding, errors="ignore")))
        raise fault(name, line, f"this is not {encoding.upper()}; save it as UTF-8.") from error
    if "\0" in text:
        line = len(split_lines(text[: text.index("\0")]))
        raise fault(name, line, "there is a NUL, so this is no text; save it as UTF-8 text.")
    return text


def _read_json(text: str, name: str) -> Transcript:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise fault(name, error.lineno, f"this is not JSON ({error.msg}); correct it.") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{name} is nested too deep or has too long a number; mend it.") from error
    if isinstance(document, dict) and "transcript" in document:
        document = document["transcript"]
    schema = document.get("schema_version") if isinstance(document, dict) else None
    if schema != TRANSCRIPT_SCHEMA:
        raise InputError(
            f'{name} is JSON, but its "schema_version" is not "{TRANSCRIPT_SCHEMA}"; '
            "give a transcript or an export made by Stope."
        )
    try:
        transcript = Transcript.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])))
        raise InputError(
            f"{name} is no valid transcript at {where} ({first['msg']}); export it again."
        ) from error
    if problem := next(_contradictions(transcript), None):
        raise InputError(f"{name} contradicts itself: {problem}; export it again.")
    return transcript


def _contradictions(transcript: Transcript) -> Iterator[str]:
    """Each fault that the model's types cannot rule out."""
    names = [transcript.language, *(item.speaker or "" for item in transcript.utterances)]
    if _UNSTORABLE.search("".join([*names, *(word.text for word in transcript.words)])):
        yield "it holds a NUL or half a surrogate pair"
    for index, word in enumerate(transcript.words):
        times = [time for time in (word.start, word.end) if time is not None]
        if not word.text.strip():
            yield f"words.{index} is blank"
        if times != sorted(times) or not all(0 <= time < math.inf for time in times):
            yield f"the times of words.{index} are not 0 <= start <= end"
    if transcript.duration == math.inf:
        yield "the duration is infinite"
    end = 0
    for index, utterance in enumerate(transcript.utterances):
        if utterance.first_word != end or utterance.end_word <= end:
            yield f"utterances.{index} does not begin where the one before it ends"
        end = utterance.end_word
    if end != len(transcript.words):
        yield f"the utterances end at word {end} of {len(transcript.words)}"


def _assemble(passages: list[Passage]) -> Transcript:
    """Words and utterances. Timed passages of one speaker run on: a cue may end mid-sentence."""
    runs: list[tuple[Passage, list[Word]]] = []
    for passage in passages:
        words = [
            Word(text=text, start=passage.start, end=passage.end) for text in passage.text.split()
        ]
        if not words:
            continue
        before = runs[-1][0] if runs else None
        timed = before and before.start is not None and passage.start is not None
        if before and timed and before.speaker == passage.speaker:
            runs[-1][1].extend(words)
        else:
            runs.append((passage, words))
    utterances: list[Utterance] = []
    offset = 0
    for passage, words in runs:
        utterances.extend(
            Utterance(
                first_word=offset + cut.first_word,
                end_word=offset + cut.end_word,
                speaker=passage.speaker,
            )
            for cut in cut_utterances(words)
        )
        offset += len(words)
    return Transcript(
        language="und",
        duration=max((item.end for item in passages if item.end is not None), default=None),
        words=tuple(word for _, words in runs for word in words),
        utterances=tuple(utterances),
    )


class _Line(NamedTuple):
    number: int
    text: str
    start: float | None
    label: Label | None


def _line(number: int, line: str, name: str) -> _Line:
    text, start = line.strip(), None
    if clock := _CLOCK.match(text):
        start = seconds_of(clock[1])
        if start is None:
            raise fault(
                name,
                number,
                f"{shown(clock[1])} is no time; write it as [HH:MM:SS].",
            )
        text = text[clock.end() :]
    return _Line(number, text, start, split_label(text))


def _read_prose(lines: list[_Line], name: str) -> list[Passage]:
    """Passages of a text, one for each paragraph, timed line or speaker's turn.

    A label and a time hold until the next one. ``Name:`` is a label only if two lines have one.
    """
    speakers = speakers_among([line.label for line in lines if line.text], least=2)
    clocks: list[float] = []
    turns: list[tuple[str | None, int, list[str]]] = []
    speaker, paragraph = None, True
    for number, text, start, label in lines:
        if not text and start is None:
            paragraph = True
            continue
        if start is not None:
            if clocks and start < clocks[-1]:
                raise fault(
                    name, number, "the time is before the last one; put the lines in order."
                )
            clocks.append(start)
        named = label if label and label.name in speakers else None
        speaker = named.name if named else speaker
        if named or paragraph or start is not None:
            turns.append((speaker, len(clocks), []))
        turns[-1][2].append(named.rest if named else text)
        paragraph = False
    return [
        Passage(
            "\n".join(texts),
            said_by,
            start=clocks[given - 1] if given else None,
            end=clocks[given] if 0 < given < len(clocks) else None,
        )
        for said_by, given, texts in turns
    ]


def _markdown_lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of what a Markdown text says; its marks part paragraphs and are left out."""
    lines = split_lines(text)
    skipped = _front_matter(lines)
    body = _without_emphasis("\n".join(lines[skipped:])).split("\n")
    for number, line in enumerate(body, start=skipped + 1):
        if _HEADING.match(line) or _RULE.match(line):
            yield number, ""
        elif bullet := _BULLET.match(line):
            yield number, ""
            yield number, line[bullet.end() :]
        else:
            yield number, line


def _front_matter(lines: list[str]) -> int:
    """How many lines of YAML lead; a rule with prose below it is none."""
    if len(lines) < 2 or lines[0].rstrip() != "---" or not _YAML_KEY.match(lines[1]):
        return 0
    ends = (index for index, line in enumerate(lines) if index and line.rstrip() in ("---", "..."))
    return next(ends, -1) + 1


def _without_emphasis(text: str) -> str:
    """Text without ``*`` and ``_`` that come in pairs; a lone one is the writer's own."""
    opened: dict[str, re.Match[str]] = {}
    marks: list[tuple[int, int]] = []
    for mark in _MARKS.finditer(text):
        run, after = mark[0], text[mark.end() : mark.end() + 1]
        before = text[mark.start() - 1] if mark.start() else ""
        if run.startswith("\n"):
            opened.clear()
        elif before.strip() and not after.isalnum() and run[::-1] in opened:
            marks += [opened.pop(run[::-1]).span(), mark.span()]
        elif not before.isalnum() and after.strip():
            opened[run] = mark
    pieces, end = [], 0
    for first, last in sorted(marks):
        pieces.append(text[end:first])
        end = last
    return "".join([*pieces, text[end:]])
