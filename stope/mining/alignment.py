"""Alignment: finding a model's quote in the transcript's own words.

A model's quotation is a hint. What counts is where those words stand: the same words in a row
(exact), or the stretch of words most like them (fuzzy, by normalised indel similarity, 0 to 100);
otherwise the quote is ungrounded. The evidence then quotes the transcript, never the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from rapidfuzz import fuzz

from stope.mining.sentences import sentences_of
from stope.models.claim import Alignment, Evidence
from stope.models.transcript import Transcript
from stope.wording import normalise

FUZZY_MIN = 85.0
"""A stretch less like the quote than this is not its source."""

MIN_WORDS = 2
"""Shorter quotes match by chance."""


class TranscriptIndex:
    """The normalised tokens of a transcript, each with the word it comes from."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._tokens: list[str] = []
        self._words: list[int] = []
        self._places: dict[str, list[int]] = {}
        for index, word in enumerate(transcript.words):
            for token in normalise(word.text):
                self._places.setdefault(token, []).append(len(self._tokens))
                self._tokens.append(token)
                self._words.append(index)

    def align(self, quote: str, first_word: int, end_word: int) -> Evidence:
        """Where a quote stands among words ``[first_word, end_word)``."""
        wanted = normalise(quote)
        low = self._first_token(first_word)
        high = self._first_token(end_word)
        if len(wanted) >= MIN_WORDS:
            exact = self._exact(wanted, low, high)
            if exact is not None:
                return self._evidence(exact, exact + len(wanted), Alignment.EXACT, 100.0)
            fuzzy = self._fuzzy(wanted, low, high)
            if fuzzy is not None:
                start, end, score = fuzzy
                return self._evidence(start, end, Alignment.FUZZY, round(score, 1))
        return Evidence(quote=quote, alignment=Alignment.UNGROUNDED, score=0.0)

    def _first_token(self, word: int) -> int:
        """The first token that comes from a word, or from a later one."""
        low, high = 0, len(self._words)
        while low < high:
            middle = (low + high) // 2
            if self._words[middle] < word:
                low = middle + 1
            else:
                high = middle
        return low

    def _exact(self, wanted: Sequence[str], low: int, high: int) -> int | None:
        for start in range(low, high - len(wanted) + 1):
            if self._tokens[start] == wanted[0] and (
                self._tokens[start : start + len(wanted)] == list(wanted)
            ):
                return start
        return None

    def _fuzzy(self, wanted: Sequence[str], low: int, high: int) -> tuple[int, int, float] | None:
        """The run of tokens most like the quote, of its length give or take a quarter."""
        text = " ".join(wanted)
        slack = max(1, len(wanted) // 4)
        best: tuple[float, int, int] | None = None
        for length in range(max(MIN_WORDS, len(wanted) - slack), len(wanted) + slack + 1):
            for start in range(low, high - length + 1):
                candidate = " ".join(self._tokens[start : start + length])
                score = fuzz.ratio(text, candidate, score_cutoff=best[0] if best else FUZZY_MIN)
                if score >= FUZZY_MIN and (best is None or score > best[0]):
                    best = (score, start, start + length)
        return None if best is None else (best[1], best[2], best[0])

    def _evidence(self, start: int, end: int, alignment: Alignment, score: float) -> Evidence:
        first, last = self._words[start], self._words[end - 1]
        return evidence_at(self.transcript, first, last + 1, alignment, score)

    @cached_property
    def cased(self) -> bool:
        """Whether capitals tell names from other words: "I" alone does not say so."""
        return any(
            len(word.text) > 1 and any(map(str.isupper, word.text))
            for word in self.transcript.words
        )

    def says(self, name: str) -> bool:
        """Whether every word of a name was said somewhere, in the singular or the plural."""
        return all(
            any(form in self._places for form in (word, f"{word}s", word.removesuffix("s")))
            for word in normalise(name)
        )

    def mentions(self, name: str) -> tuple[Evidence, ...]:
        """Every place where the words of a name stand in a row, in order, none within another.

        No name goes on beyond a sentence: "I met Anna. Weber was there." names no Anna Weber.
        """
        return tuple(
            self._evidence(start, end, Alignment.EXACT, 100.0) for start, end in self._runs(name)
        )

    def count(self, name: str) -> int:
        """How many mentions a name has."""
        return sum(1 for _ in self._runs(name))

    def _runs(self, name: str) -> Iterator[tuple[int, int]]:
        wanted = normalise(name)
        low = 0
        for start in self._places.get(wanted[0], ()) if wanted else ():
            end = start + len(wanted)
            if start >= low and self._tokens[start:end] == wanted and self._together(start, end):
                low = end
                yield start, end

    def _together(self, start: int, end: int) -> bool:
        first, last = self._words[start], self._words[end - 1]
        return self._sentences[first] == self._sentences[last]

    @cached_property
    def _sentences(self) -> list[int]:
        """The first word of each word's sentence."""
        return [
            sentence.first_word
            for sentence in sentences_of(self.transcript)
            for _ in range(sentence.first_word, sentence.end_word)
        ]


def evidence_at(
    transcript: Transcript,
    first_word: int,
    end_word: int,
    alignment: Alignment = Alignment.EXACT,
    score: float = 100.0,
) -> Evidence:
    """Words ``[first_word, end_word)`` as evidence: the transcript's own text and times."""
    words, spans = transcript.words, transcript.word_spans
    start, end = spans[first_word].start, spans[end_word - 1].end
    return Evidence(
        quote=transcript.text[start:end],
        alignment=alignment,
        score=score,
        char_start=start,
        char_end=end,
        first_word=first_word,
        end_word=end_word,
        start=words[first_word].start,
        end=words[end_word - 1].end,
        speaker=transcript.word_speakers[first_word],
    )
