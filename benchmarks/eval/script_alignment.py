"""Alignment: which words of the script each word of the transcript stands for.

The two word sequences are aligned globally at the smallest edit distance (Levenshtein), so that
recognition errors stay where they are. Where the words differ, such as "eighteen fifty two" and
"1852", the stretches between equal words are laid on each other in proportion.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

HALF = 0.5


@dataclass(frozen=True)
class Place:
    """Script words ``[first, end)``, none for an inserted word.

    ``exact`` is whether a transcript word surely begins where ``first`` does.
    """

    first: int
    end: int
    exact: bool


class ScriptAlignment:
    """A transcript laid on a script.

    Args:
        sentences: the script's.
        words: the transcript's.
    """

    def __init__(self, sentences: Sequence[str], words: Sequence[str]) -> None:
        self._lengths = [len(sentence.split()) for sentence in sentences]
        self._sentence_of = [n for n, length in enumerate(self._lengths) for _ in range(length)]
        script = [plain(word) for sentence in sentences for word in sentence.split()]
        self._places = _places(script, [plain(word) for word in words])

    def sentences_in(self, first_word: int, end_word: int) -> dict[int, int]:
        """How many of its words each sentence has in transcript words ``[first_word, end_word)``.

        Only sentences that are covered: by half of their words, or by half of the stretch's.
        """
        covered = {
            word
            for place in self._places[first_word:end_word]
            for word in range(place.first, place.end)
        }
        hits = Counter(self._sentence_of[word] for word in covered)
        return {
            sentence: count
            for sentence, count in sorted(hits.items())
            if count >= HALF * self._lengths[sentence] or count >= HALF * len(covered)
        }

    def sentence_from(self, word: int) -> int | None:
        """The sentence that begins with a transcript word, if one surely does."""
        place = self._places[word]
        if not place.exact or place.first == place.end:
            return None
        sentence = self._sentence_of[place.first]
        begins = place.first == 0 or self._sentence_of[place.first - 1] != sentence
        return sentence if begins else None

    def sentence_of(self, word: int) -> int | None:
        """The sentence a transcript word belongs to; None for an inserted one."""
        place = self._places[word]
        return self._sentence_of[place.first] if place.first < place.end else None

    def heard(self) -> set[int]:
        """The sentences of which the transcript has any word."""
        return {n for word in range(len(self._places)) if (n := self.sentence_of(word)) is not None}


def plain(word: str) -> str:
    """A word without case and punctuation."""
    return re.sub(r"[^\w']", "", word.lower())


def _places(script: Sequence[str], words: Sequence[str]) -> list[Place]:
    places: list[Place] = []
    for first, end, count, equal in _blocks(script, words):
        length = end - first
        for k in range(count):
            start = first + k * length // count
            stop = first + (k + 1) * length // count
            if length:
                stop = max(start + 1, stop)
            exact = equal or k == 0 or length == count
            places.append(Place(start, stop, exact))
    return places


def _blocks(script: Sequence[str], words: Sequence[str]) -> Iterable[tuple[int, int, int, bool]]:
    """Stretches of script words ``[first, end)``, the number of transcript words, whether equal."""
    first = end = count = 0
    for code in Levenshtein.opcodes(script, words):
        if code.tag == "equal":
            if end > first or count:
                yield first, end, count, False
            yield code.src_start, code.src_end, code.dest_end - code.dest_start, True
            first, end, count = code.src_end, code.src_end, 0
        else:
            end, count = code.src_end, count + code.dest_end - code.dest_start
    if end > first or count:
        yield first, end, count, False
