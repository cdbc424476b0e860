"""Standing alone: which sentences need a rewriting.

A claim is read without what was said around it. Most sentences stand alone as they are; others
begin with a word that joins them to the last one, or speak of "it" and "they". The first is
mended here; the second is asked of the model, and its answer is taken only if it says nothing that
was not said (``stope.mining.fidelity``).
"""

from __future__ import annotations

import re

from stope.wording import normalise

STANDALONE_VERSION = 2
"""Part of every claiming unit's key: raise it when a change here, or in what rewritings are
believed, would give other claims."""

_LEAD = re.compile(
    r"^(?:"
    # These only join, whatever follows. A hyphen after them belongs to the word ("well-being").
    r"(?:and|but|also|yeah|okay|ok|um|uh|er|oh|ah|hmm)(?:\s*[,.…—–]\s*|\s+-\s+|\s+)"  # noqa: RUF001
    r"|so(?:\s*[,.…]\s*|\s+(?!many\b|much\b|few\b|little\b|far\b|long\b|called\b))"
    # These mean something of their own ("right whales", "well water"), unless a pause follows.
    r"|(?:well|now|then|plus|yes|right|actually|look|see|listen|you know|i mean|like i said|again)"
    r"(?:\s*[,.…—–]\s*|\s+-\s+)"  # noqa: RUF001
    r")+",
    re.IGNORECASE,
)


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


REFERENCES = _words(
    "it its itself they them their theirs he him his she her hers this these those that"
)
_EARLY_WORDS = 3
"""A pronoun among the first words points back; a later one usually within its own sentence."""

_POINTING = re.compile(
    r"(?:^|[,;:] |\b(?:of|for|in|on|with|from|about|like|than|to|by|at) )"
    r"(?:this|that|these|those)\b|\b(?:the same|such a)\b",
    re.IGNORECASE,
)


def without_lead(text: str) -> str:
    """A sentence without the words that only join it to the last one, with a capital."""
    bare = _LEAD.sub("", text).strip()
    if len(bare.split()) < 2:
        return text
    # A word with a capital of its own ("iPhone") keeps its spelling.
    return bare[0].upper() + bare[1:] if bare.split()[0].islower() else bare


def needs_context(text: str) -> bool:
    """Whether a sentence points at something outside itself."""
    bare = without_lead(text)
    early = normalise(bare)[:_EARLY_WORDS]
    return any(word in REFERENCES for word in early) or _POINTING.search(bare) is not None
