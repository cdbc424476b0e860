"""Words, cut into utterances: for speech and for text alike."""

from __future__ import annotations

from stope.models.transcript import Utterance, Word

PAUSE = 1.0
"""Seconds of silence that end an utterance."""

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001  (Chinese and Japanese stops)


def cut_utterances(words: list[Word]) -> list[Utterance]:
    """Utterances end with a sentence or before a pause."""
    utterances: list[Utterance] = []
    first = 0
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else None
        pause = (
            following is not None
            and following.start is not None
            and word.end is not None
            and following.start - word.end >= PAUSE
        )
        if following is None or pause or word.text.rstrip("\"'”’)").endswith(_SENTENCE_ENDS):  # noqa: RUF001  (typographic quotes)
            utterances.append(Utterance(first_word=first, end_word=index + 1))
            first = index + 1
    return utterances
