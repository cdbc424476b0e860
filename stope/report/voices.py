"""Voices: the speakers as the exports show them, with a colour and a share of the speaking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stope.report.document import Document
from stope.report.turns import spoken_turns

COLOURS = 8
"""The page's style has so many speaker colours; a ninth speaker shares the first one's."""


class Voice(NamedTuple):
    """One speaker. ``share`` (0 to 1) is of all speaking time, or of all words without times."""

    id: str
    name: str
    colour: int
    share: float


def voices_of(document: Document) -> list[Voice]:
    """All speakers in the order in which they first speak; those only quoted come last."""
    times: dict[str, float] = {}
    for speaker, start, end in spoken_turns(document):
        times[speaker] = times.get(speaker, 0.0) + end - start
    words: dict[str, float] = {}
    for utterance in document.transcript.utterances if document.transcript else ():
        if utterance.speaker:
            count = utterance.end_word - utterance.first_word
            words[utterance.speaker] = words.get(utterance.speaker, 0.0) + count
    spoken = times or words
    everybody = dict.fromkeys((*spoken, *words, *_quoted(document)))
    total = sum(spoken.values())
    return [
        Voice(
            id=speaker,
            name=document.name_of(speaker),
            colour=number % COLOURS + 1,
            share=spoken.get(speaker, 0.0) / total if total else 0.0,
        )
        for number, speaker in enumerate(everybody)
    ]


def _quoted(document: Document) -> Iterator[str]:
    judged = document.knowledge.claims if document.knowledge else ()
    for claim in (*(item.claim for item in judged), *document.unjudged):
        for evidence in claim.evidence:
            if evidence.speaker:
                yield evidence.speaker
