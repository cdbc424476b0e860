"""Token counts without a tokenizer."""

from __future__ import annotations

import re

_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Thai, Japanese, Chinese and Korean."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few.

    The larger of two rules of thumb for BPE vocabularies on prose: four characters a token, and
    four tokens for three words. Letters of scripts without spaces are a token each.
    """
    unspaced = len(_UNSPACED.findall(text))
    return max((len(text) - unspaced) // 4, len(text.split()) * 4 // 3) + unspaced + 1
