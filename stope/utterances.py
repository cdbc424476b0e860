"""Words, cut into utterances: for speech and for text alike."""

from __future__ import annotations

from collections.abc import Sequence

from stope.models.transcript import Utterance, Word

PAUSE = 1.0
"""Seconds of silence that end an utterance."""

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001  (Chinese and Japanese stops)


def ends_sentence(word: str) -> bool:
    """Whether a word carries the stop of a sentence, inside closing quotes or not."""
    return word.rstrip("\"'”’)").endswith(_SENTENCE_ENDS)  # noqa: RUF001  (typographic quotes)


def cut_utterances(
    words: Sequence[Word], speakers: Sequence[str | None] | None = None
) -> list[Utterance]:
    """Utterances end with a sentence, before a pause, and where the speaker changes.

    Args:
        words: in order.
        speakers: who said each of them, if it is known.
    """
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
        speaker = speakers[index] if speakers else None
        changes = speakers is not None and index + 1 < len(words) and speakers[index + 1] != speaker
        if following is None or pause or changes or ends_sentence(word.text):
            utterances.append(Utterance(first_word=first, end_word=index + 1, speaker=speaker))
            first = index + 1
    return utterances
