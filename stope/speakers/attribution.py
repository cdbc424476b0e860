"""Attribution: which speaker said each word.

A word belongs to the turn that it overlaps most, or that is nearest. Words and turns come from
different engines whose times differ by a few tenths of a second, so that a change of speaker is
then moved to the end of a sentence or to a pause where one is close by, and a word that stands
alone in the middle of somebody else's sentence is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stope.models.diarization import Diarization, Turn
from stope.models.transcript import Transcript, Word
from stope.utterances import cut_utterances, ends_sentence

_REACH = 3
"""Words by which a change of speaker moves at most."""

_SENTENCE_END = 0.6
"""Seconds of contrary evidence that a sentence's end outweighs."""

_PAUSE = 0.3
"""A pause between two words of this length outweighs as many seconds."""

_STRAY_SECONDS = 0.4
_STRONG_SECONDS = 0.8
"""A turn of this length is no stray word, however few words stand in it."""


def with_speakers(transcript: Transcript, diarization: Diarization) -> Transcript:
    """The same words, each utterance with its speaker; utterances end where the speaker changes.

    Without turns the transcript comes back as it is.
    """
    if not diarization.turns or not transcript.words:
        return transcript
    words = list(transcript.words)
    speakers = word_speakers(words, diarization.turns)
    return transcript.model_copy(update={"utterances": tuple(cut_utterances(words, speakers))})


def word_speakers(words: Sequence[Word], turns: Sequence[Turn]) -> list[str]:
    """The speaker of each word; a word without a time has that of the word before it.

    Args:
        words: in order.
        turns: at least one.
    """
    evidence = _Evidence(words, turns)
    speakers = _without_strays(words, evidence, evidence.nearest())
    return _settled_changes(words, evidence, speakers)


class _Evidence:
    """How long each word overlaps the turns of each speaker, in seconds; negative: how far off."""

    def __init__(self, words: Sequence[Word], turns: Sequence[Turn]) -> None:
        self._names = list(dict.fromkeys(turn.speaker for turn in turns))
        self._turns = turns
        starts = np.array([turn.start for turn in turns])
        ends = np.array([turn.end for turn in turns])
        # Where each speaker's turns stand among all turns, sorted by speaker.
        owners = np.array([self._names.index(turn.speaker) for turn in turns])
        order = np.argsort(owners, kind="stable")
        first = np.searchsorted(owners[order], np.arange(len(self._names)))
        self._overlap = np.zeros((len(words), len(self._names)))
        self._turn = np.zeros(len(words), np.intp)
        for index, word in enumerate(words):
            if word.start is None or word.end is None:
                self._turn[index] = self._turn[index - 1] if index else 0
                continue
            overlap = np.minimum(ends, word.end) - np.maximum(starts, word.start)
            self._turn[index] = overlap.argmax()
            self._overlap[index] = np.maximum.reduceat(overlap[order], first)

    def nearest(self) -> list[str]:
        """The speaker of the turn that each word overlaps most, or that is nearest."""
        return [self.turn_of(word).speaker for word in range(self._turn.size)]

    def turn_of(self, word: int) -> Turn:
        """The turn that a word overlaps most, or that is nearest."""
        return self._turns[int(self._turn[word])]

    def against(self, word: int, speaker: str, other: str) -> float:
        """Seconds by which a word's time speaks for one speaker against another."""
        row = self._overlap[word]
        return float(row[self._names.index(speaker)] - row[self._names.index(other)])


def _without_strays(words: Sequence[Word], evidence: _Evidence, speakers: list[str]) -> list[str]:
    """A word or an instant amid somebody's sentence is theirs, unless a real turn is there."""
    found = list(speakers)
    runs = _runs(found)
    for number in range(1, len(runs) - 1):
        first, end = runs[number]
        around = found[first - 1]
        if around != found[end] or ends_sentence(words[first - 1].text):
            continue
        if ends_sentence(words[end - 1].text):
            continue
        turn = evidence.turn_of(first)
        short = end - first == 1 or _seconds(words, first, end) < _STRAY_SECONDS
        if short and turn.end - turn.start < _STRONG_SECONDS:
            found[first:end] = [around] * (end - first)
    return found


def _settled_changes(words: Sequence[Word], evidence: _Evidence, speakers: list[str]) -> list[str]:
    """Changes moved to the likeliest place among the words around them."""
    found = list(speakers)
    runs = _runs(found)
    for number in range(1, len(runs)):
        change = runs[number][0]
        before, after = found[change - 1], found[change]
        # One word at least stays with each: a change moves, it does not vanish.
        low = max(runs[number - 1][0] + 1, change - _REACH)
        high = min(runs[number][1] - 1, change + _REACH)
        best = min(
            range(low, high + 1),
            key=lambda place: (
                _cost(words, evidence, change, place, before, after),
                abs(place - change),
            ),
        )
        if best < change:
            found[best:change] = [after] * (change - best)
        else:
            found[change:best] = [before] * (best - change)
        runs[number - 1] = (runs[number - 1][0], best)
        runs[number] = (best, runs[number][1])
    return found


def _cost(
    words: Sequence[Word], evidence: _Evidence, change: int, place: int, before: str, after: str
) -> float:
    """Seconds of evidence against a change before the word ``place``, less what speaks for it."""
    cost = 0.0
    for word in range(place, change):
        cost += max(0.0, evidence.against(word, before, after))
    for word in range(change, place):
        cost += max(0.0, evidence.against(word, after, before))
    last, following = words[place - 1], words[place]
    if ends_sentence(last.text):
        cost -= _SENTENCE_END
    if last.end is not None and following.start is not None:
        pause = following.start - last.end
        cost -= pause if pause >= _PAUSE else 0.0
    return cost


def _runs(speakers: Sequence[str]) -> list[tuple[int, int]]:
    """``[first, end)`` of every run of words by one speaker."""
    changes = [index for index in range(1, len(speakers)) if speakers[index] != speakers[index - 1]]
    return list(zip([0, *changes], [*changes, len(speakers)], strict=True))


def _seconds(words: Sequence[Word], first: int, end: int) -> float:
    start, stop = words[first].start, words[end - 1].end
    return 0.0 if start is None or stop is None else stop - start
