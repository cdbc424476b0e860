"""Token counts without a tokenizer."""

from __future__ import annotations


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few.

    The larger of two rules of thumb for BPE vocabularies on prose: four characters a token, and
    four tokens for three words.
    """
    return max(len(text) // 4, len(text.split()) * 4 // 3) + 1
