"""Sentences: a transcript's utterances, joined where a pause broke a sentence in two."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stope.models.sentence import Sentence
from stope.models.transcript import Transcript
from stope.utterances import ends_sentence

MAX_WORDS = 60
"""Beyond it there is no punctuation to go by, and utterances stand for sentences."""

JOIN_PAUSE = 2.5
"""Seconds after which the rest is a sentence of its own, whatever the punctuation says."""

_ABBREVIATIONS = frozenset(
    {"dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "vs.", "e.g.", "i.e.", "u.s.", "u.k."}
)
_INITIAL = re.compile(r"[A-HJ-Z]\.")
"""Of a name; "I." is a word at the end of a sentence."""


def sentences_of(transcript: Transcript) -> tuple[Sentence, ...]:
    """All sentences in order; together they cover every word once."""
    return tuple(
        Sentence(
            first_word=first,
            end_word=end,
            text=" ".join(word.text for word in transcript.words[first:end]),
            speaker=transcript.word_speakers[first],
        )
        for first, end in _spans(transcript)
    )


def _spans(transcript: Transcript) -> Iterator[tuple[int, int]]:
    first = 0
    utterances = transcript.utterances
    for place, utterance in enumerate(utterances):
        following = utterances[place + 1] if place + 1 < len(utterances) else None
        if (
            following is not None
            and following.speaker == utterance.speaker
            and following.end_word - first <= MAX_WORDS
            and _goes_on(transcript, utterance.end_word)
        ):
            continue
        yield from _cut_long(first, utterance.end_word)
        first = utterance.end_word


def _goes_on(transcript: Transcript, end: int) -> bool:
    """Whether a sentence goes on after word ``end - 1``, where an utterance ends."""
    last, following = transcript.words[end - 1], transcript.words[end]
    if (
        last.end is not None
        and following.start is not None
        and following.start - last.end >= JOIN_PAUSE
    ):
        return False
    text = last.text.lstrip("\"'“‘(")  # noqa: RUF001  (typographic quotes)
    if text.lower() == "no.":
        # "No. 5" goes on; the answer "No." does not.
        return following.text[0].isdigit()
    return (
        text.lower() in _ABBREVIATIONS
        or _INITIAL.fullmatch(text) is not None
        or not ends_sentence(text)
    )


def _cut_long(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Text without any punctuation or pause, cut so that no sentence is over the limit."""
    while end - first > MAX_WORDS:
        yield first, first + MAX_WORDS // 2
        first += MAX_WORDS // 2
    yield first, end
