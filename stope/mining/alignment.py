"""Alignment: finding a model's quote in the transcript's own words.

A model's quotation is a hint. What counts is where those words stand: the same words in a row
(exact), or the stretch of words most like them (fuzzy, by normalised indel similarity, 0 to 100);
otherwise the quote is ungrounded. The evidence then quotes the transcript, never the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz

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
        for index, word in enumerate(transcript.words):
            for token in normalise(word.text):
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
        words, spans = self.transcript.words, self.transcript.word_spans
        first, last = self._words[start], self._words[end - 1]
        return Evidence(
            quote=self.transcript.text[spans[first].start : spans[last].end],
            alignment=alignment,
            score=score,
            char_start=spans[first].start,
            char_end=spans[last].end,
            first_word=first,
            end_word=last + 1,
            start=words[first].start,
            end=words[last].end,
            speaker=self.transcript.word_speakers[first],
        )
