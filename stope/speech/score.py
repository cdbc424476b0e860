"""How good an answer for a chunk is, to choose among several."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stope.models.transcript import ChunkTranscript, Flag, FlagKind, Word
from stope.speech.sound import Sound

UNKNOWN_PROBABILITY = 0.5
"""What an answer without probabilities counts as."""

EMPTY_PROBABILITY = 0.1
"""What an answer without words counts as where there is speech."""


def score(answer: ChunkTranscript, flags: Sequence[Flag], sound: Sound) -> float:
    """How good an answer is; more is better, 0 the best.

    The logarithm of its words' mean probability, less the share of its words that are doubtful,
    less the share of the speech that has no text, less 0.25 if it has any flag.
    """
    words = words_of(answer)
    silent = [flag for flag in flags if flag.kind is FlagKind.SPEECH_WITHOUT_TEXT]
    doubtful = {
        index for flag in flags for index in range(flag.first_word or 0, flag.end_word or 0)
    }
    if words:
        found = math.log(mean_probability(words) or UNKNOWN_PROBABILITY)
        found -= len(doubtful) / len(words)
    else:
        found = math.log(EMPTY_PROBABILITY) if silent else 0.0
    if silent:
        unheard = sum(sound.speech_within(flag.start, flag.end) for flag in silent)
        found -= min(1.0, unheard / max(sound.speech_seconds, 0.1))
    return found - (0.25 if flags else 0.0)


def words_of(answer: ChunkTranscript) -> list[Word]:
    """All words of an answer."""
    return [word for utterance in answer.utterances for word in utterance]


def mean_probability(words: Sequence[Word]) -> float | None:
    """Geometric mean of the probabilities; None where there are none."""
    known = [max(word.probability, 1e-4) for word in words if word.probability is not None]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None
