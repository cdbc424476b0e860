"""The segment plan: a transcript's sentences, in pieces of a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stope.llm.tokens import estimate_tokens
from stope.mining.sentences import sentences_of
from stope.models.frozen import Frozen
from stope.models.segment import Segment
from stope.models.sentence import Sentence
from stope.models.transcript import Transcript, Word

PLAN_VERSION = 2
"""Part of every plan's key: raise it when a change here would cut differently."""


class SegmentPlan(Frozen):
    """The stored, immutable cut of a transcript into segments."""

    segments: tuple[Segment, ...]


def plan_segments(transcript: Transcript, budget: int) -> SegmentPlan:
    """Segments of at most ``budget`` tokens, in order, covering every word.

    A segment ends with a sentence wherever one sentence fits the budget; a longer one is cut
    between words.
    """
    groups: list[list[Sentence]] = []
    spent = 0
    for sentence in _pieces(transcript, budget):
        # With the speaker's name, each time: rather too much than too little.
        cost = estimate_tokens(line_of(sentence))
        if groups and spent + cost <= budget:
            groups[-1].append(sentence)
            spent += cost
        else:
            groups.append([sentence])
            spent = cost
    return SegmentPlan(
        segments=tuple(
            Segment(
                id=f"seg_{number:04d}",
                sentences=tuple(group),
                start=transcript.words[group[0].first_word].start,
                end=transcript.words[group[-1].end_word - 1].end,
            )
            for number, group in enumerate(groups, start=1)
        )
    )


def line_of(sentence: Sentence) -> str:
    """A sentence as a model reads it, led by who says it where that is known."""
    return f"{sentence.speaker}: {sentence.text}" if sentence.speaker else sentence.text


def _pieces(transcript: Transcript, budget: int) -> Iterator[Sentence]:
    """Sentences, those over the budget cut into runs of words."""
    for sentence in sentences_of(transcript):
        if estimate_tokens(line_of(sentence)) <= budget:
            yield sentence
            continue
        words = transcript.words[sentence.first_word : sentence.end_word]
        first = 0
        for index in range(1, len(words) + 1):
            whole = index == len(words)
            piece = _piece(sentence, words, first, index)
            longer = None if whole else _piece(sentence, words, first, index + 1)
            if longer is None or estimate_tokens(line_of(longer)) > budget:
                yield piece
                first = index


def _piece(sentence: Sentence, words: Sequence[Word], first: int, end: int) -> Sentence:
    return Sentence(
        first_word=sentence.first_word + first,
        end_word=sentence.first_word + end,
        text=" ".join(word.text for word in words[first:end]),
        speaker=sentence.speaker,
    )
