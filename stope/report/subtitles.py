"""Subtitles: SubRip and WebVTT."""

from __future__ import annotations

import re

from stope.errors import InputError
from stope.report.cues import cues_of
from stope.report.document import Document
from stope.report.lines import one_line
from stope.report.passages import flag_sentence, gap_sentence
from stope.report.plain import transcript_of

# SubRip has no escapes: players take these for markup or, in the second form, for commands.
_SRT_MARKUP = re.compile(r"<(?=[a-zA-Z/!])|\{(?=[\\a-zA-Z])")


def render_srt(document: Document) -> str:
    """Numbered cues, without speakers.

    A ``<`` or ``{`` that a player would take for markup becomes a single quotation mark or ``(``.

    Raises:
        InputError: the document has no transcript, or its words have no times.
    """
    _require_times(document)
    blocks: list[str] = []
    for number, cue in enumerate(cues_of(transcript_of(document)), start=1):
        text = _SRT_MARKUP.sub(
            lambda found: "\u2039" if found[0] == "<" else "(", "\n".join(cue.lines)
        )
        times = f"{_time(cue.start, ',')} --> {_time(cue.end, ',')}"
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def render_vtt(document: Document) -> str:
    """WebVTT: every cue in its speaker's voice span, gaps and doubtful passages as notes.

    Raises:
        InputError: the document has no transcript, or its words have no times.
    """
    _require_times(document)
    blocks = ["WEBVTT\n"]
    blocks += [f"NOTE {_vtt_text(gap_sentence(gap))}\n" for gap in document.all_gaps]
    blocks += [f"NOTE {_vtt_text(flag_sentence(flag))}\n" for flag in document.flags]
    for cue in cues_of(transcript_of(document)):
        text = "\n".join(_vtt_text(line) for line in cue.lines)
        if cue.speaker:
            text = f"<v {_vtt_text(document.name_of(cue.speaker))}>{text}</v>"
        blocks.append(f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def _require_times(document: Document) -> None:
    words = transcript_of(document).words
    if words and all(word.start is None for word in words):
        raise InputError(
            f"The transcript of {document.title} has no times, so it cannot be written as "
            "subtitles; export txt or md, or transcribe the recording itself."
        )


def _vtt_text(text: str) -> str:
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace(">", "&gt;")


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{point}{rest:03}"
