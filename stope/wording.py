"""Wordings compared: what counts as the same words, and as the same statement."""

from __future__ import annotations

import re
import unicodedata

from rapidfuzz import fuzz

SAME_CONTENT_MIN = 60.0
"""Below it a rewriting has left its source: it may replace pronouns, not the statement."""

_UNSPACED = re.compile(r"([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
"""Thai, Japanese and Chinese letters: written without spaces, each counts as a word."""

_NOT_WORD = re.compile(r"(?:[^\w%]|_)+")


def normalise(text: str) -> list[str]:
    """The words of a text for comparing: no case, compatibility forms or punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _UNSPACED.sub(r" \1 ", _NOT_WORD.sub(" ", folded)).split()


def same_content(rewriting: str, source: str) -> bool:
    """Whether a rewriting shares enough words with its source (token set ratio of rapidfuzz)."""
    words, wanted = " ".join(normalise(rewriting)), " ".join(normalise(source))
    return bool(words) and fuzz.token_set_ratio(words, wanted) >= SAME_CONTENT_MIN
