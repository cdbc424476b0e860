"""The timeline: a recording from left to right, with its claims, its speakers and its doubts."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from stope.models.claim import Evidence
from stope.models.knowledge import JudgedClaim
from stope.report.document import Document, place_of
from stope.report.passages import flag_sentence, gap_sentence
from stope.report.turns import spoken_turns
from stope.report.voices import Voice

LANES = 8
"""Speakers who get a lane: those who speak most. The others are in the filters."""

COLUMNS = 720
"""A lane has so many places: what is closer together than that flows together."""


class Mark(NamedTuple):
    """An accepted claim where it was first said; ``left`` in percent, ``height`` from 8 to 38."""

    judged: JudgedClaim
    place: Evidence
    left: float
    height: int


class Stretch(NamedTuple):
    """From ``left`` for ``width`` percent of the recording. ``kind``: ``gap`` or ``flag``."""

    kind: str
    left: float
    width: float
    title: str


class Lane(NamedTuple):
    """When one speaker speaks: (left, width) in percent."""

    speaker: Voice
    runs: list[tuple[float, float]]


class Timeline(NamedTuple):
    """What stands above the claims; empty where nothing has a time."""

    marks: list[Mark]
    stretches: list[Stretch]
    lanes: list[Lane]


def timeline_of(document: Document, speakers: list[Voice]) -> Timeline:
    """The timeline of a document; its places are empty when the recording's length is unknown."""
    length = document.duration
    if not length:
        return Timeline([], [], [])
    return Timeline(
        marks=_marks(document, length),
        stretches=_stretches(document, length),
        lanes=_lanes(document, speakers, length),
    )


def _marks(document: Document, length: float) -> list[Mark]:
    marks: list[Mark] = []
    for judged in document.accepted:
        place = place_of(judged.claim)
        if place is not None and place.start is not None:
            height = 8 + 3 * judged.verdict.importance
            marks.append(Mark(judged, place, _percent(place.start, length), height))
    return marks


def _stretches(document: Document, length: float) -> list[Stretch]:
    found = [
        ("gap", gap.start, gap.end, gap_sentence(gap))
        for gap in document.all_gaps
        if gap.start is not None and gap.end is not None
    ]
    found += [("flag", flag.start, flag.end, flag_sentence(flag)) for flag in document.flags]
    stretches: list[Stretch] = []
    for kind, start, end, title in found:
        if start is not None and end is not None:
            left, right = _percent(start, length), _percent(end, length)
            stretches.append(Stretch(kind, left, max(0.2, round(right - left, 2)), title))
    return stretches


def _lanes(document: Document, speakers: list[Voice], length: float) -> list[Lane]:
    turns: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for speaker, start, end in spoken_turns(document):
        turns[speaker].append((start, end))
    loudest = sorted(speakers, key=lambda speaker: -speaker.share)[:LANES]
    return [
        Lane(speaker, _runs(sorted(turns[speaker.id]), length))
        for speaker in speakers
        if speaker in loudest and turns[speaker.id]
    ]


def _runs(turns: list[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    column = length / COLUMNS
    joined: list[tuple[float, float]] = []
    for start, end in turns:
        if joined and start - joined[-1][1] < column:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    runs = [(_percent(start, length), _percent(end, length)) for start, end in joined]
    return [(left, max(0.1, round(right - left, 2))) for left, right in runs]


def _percent(seconds: float, length: float) -> float:
    return round(100 * min(1.0, max(0.0, seconds) / length), 2)
