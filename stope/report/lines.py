"""A transcript as lines of text, one per utterance, and times as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from stope.models.transcript import Transcript

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Embeddings, overrides and isolates: they would turn round the text that follows them.
_DIRECTIONS = re.compile(r"[\u202a-\u202e\u2066-\u2069]+")


class Line(NamedTuple):
    """One utterance: words ``[first_word, end_word)``, and ``turn`` where the speaker changes."""

    first_word: int
    end_word: int
    start: float | None
    speaker: str | None
    turn: bool
    text: str


def transcript_lines(transcript: Transcript) -> Iterator[Line]:
    """Every utterance as a line. ``start`` (seconds) is its first timed word's."""
    previous: str | None = None
    for utterance in transcript.utterances:
        words = transcript.words[utterance.first_word : utterance.end_word]
        yield Line(
            first_word=utterance.first_word,
            end_word=utterance.end_word,
            start=next((word.start for word in words if word.start is not None), None),
            speaker=utterance.speaker,
            turn=utterance.speaker is not None and utterance.speaker != previous,
            text=one_line(" ".join(word.text for word in words)),
        )
        previous = utterance.speaker


def one_line(text: str) -> str:
    """The text with every run of white space as one space and no control characters.

    A word or quote may hold line breaks, which would end a cue or a list item early, escape codes,
    which a terminal would obey, or a change of direction, which would make a name read backwards.
    """
    if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text  # nearly every word: nothing in it is a control, a direction or a line break
    return " ".join(_CONTROLS.sub(" ", _DIRECTIONS.sub("", text)).split())


def clock(seconds: float) -> str:
    """``MM:SS``, or ``H:MM:SS`` from an hour; rounded down, so that no word is missed.

    >>> clock(83.9), clock(3725)
    ('01:23', '1:02:05')
    """
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"
