"""The segment plan: a transcript cut at turns and sentences into pieces of a token budget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from stope.llm.tokens import estimate_tokens
from stope.models.frozen import Frozen
from stope.models.segment import Segment
from stope.models.transcript import Transcript

PLAN_VERSION = 1
"""Part of every plan's key: raise it when a change here would cut differently."""


class SegmentPlan(Frozen):
    """The stored, immutable cut of a transcript into segments."""

    segments: tuple[Segment, ...]


def plan_segments(transcript: Transcript, budget: int) -> SegmentPlan:
    """Segments of at most ``budget`` tokens, in order, covering every word.

    A segment ends with an utterance wherever one utterance fits the budget; a longer one is cut
    between words.
    """
    spans: list[tuple[int, int]] = []
    spent = 0
    for first, end in _pieces(transcript, budget):
        # With the speaker's name, each time: rather too much than too little.
        cost = estimate_tokens(segment_text(transcript, first, end))
        if spans and spent + cost <= budget:
            spans[-1] = (spans[-1][0], end)
            spent += cost
        else:
            spans.append((first, end))
            spent = cost
    return SegmentPlan(
        segments=tuple(
            Segment(
                id=f"seg_{number:04d}",
                first_word=first,
                end_word=end,
                text=segment_text(transcript, first, end),
                start=transcript.words[first].start,
                end=transcript.words[end - 1].end,
            )
            for number, (first, end) in enumerate(spans, start=1)
        )
    )


def segment_text(transcript: Transcript, first: int, end: int) -> str:
    """Words ``[first, end)``, a line per utterance; a new speaker is named before their words."""
    lines: list[str] = []
    speaker: str | None = None
    place = bisect_right(transcript.utterances, first, key=lambda item: item.first_word) - 1
    for utterance in transcript.utterances[max(0, place) :]:
        start, stop = max(first, utterance.first_word), min(end, utterance.end_word)
        if utterance.first_word >= end:
            break
        line = _plain(transcript, start, stop)
        if utterance.speaker is not None and utterance.speaker != speaker:
            line = f"{utterance.speaker}: {line}"
        speaker = utterance.speaker
        lines.append(line)
    return "\n".join(lines)


def _plain(transcript: Transcript, first: int, end: int) -> str:
    return " ".join(word.text for word in transcript.words[first:end])


def _pieces(transcript: Transcript, budget: int) -> Iterator[tuple[int, int]]:
    """Utterances, those over the budget cut into runs of words."""
    for utterance in transcript.utterances:
        first = utterance.first_word
        for index in range(first, utterance.end_word):
            if index > first and estimate_tokens(_plain(transcript, first, index + 1)) > budget:
                yield first, index
                first = index
        yield first, utterance.end_word
