"""Splitting: a claim that says several things becomes several claims.

Only claims whose wording joins two clauses are offered to the model. Its parts count if they are
made of the claim's own words and leave none of its substance out; else the claim stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from stope.flagship.asking import keyed_answer, request_of
from stope.flagship.contrast import CONTRAST_VERSION, content_of, names_of, words_of
from stope.flagship.numerals import numbers_of
from stope.identity import digest_of
from stope.llm.ledger import Ledger
from stope.llm.tokens import estimate_tokens
from stope.models.claim import Alignment, Claim, Evidence
from stope.models.frozen import Frozen
from stope.models.verdict import Decision, Verdict
from stope.wording import normalise

PROMPT = "split"
SPLIT_VERSION = f"1.{CONTRAST_VERSION}"
"""Part of every plan's key: raise it when a change here would offer other claims."""

GROUP = 1
"""Claims per call: shown several, small models give the parts of one for all."""

MAX_PARTS = 4
_LEAST_CONTENT = 3
"""Words with meaning that a clause has, to be a claim by itself."""

_KEPT = 0.75
"""Share of the claim's words with meaning that its parts have together."""

_JOINT = re.compile(r"(?:[,;]|\s[–—-])\s+(?:and|but|while|whereas)\s+|;\s+|(?<=\w[.!])\s+", re.I)  # noqa: FURB167, RUF001  (short; dashes)
_DEPENDS = re.compile(r"\b(?:because|since|so that|therefore|if|unless|than|why)\b", re.I)  # noqa: FURB167  (short)
_SPARE_TOKENS = 60
_PRONOUNS = ("it", "they", "he", "she")
_SPEAKERS = ("i", "we", "you", "it", "they", "he", "she", "this", "that", "these", "those")
_POINTING = ("they", "them", "their", "he", "him", "his", "she", "her")
_OWN_SUBJECT = 3
"""Words before a pronoun that can be what it stands for."""

_LONGEST_SUBJECT = 5
_VERBS = (
    "is are was were has have had can could will would may might must should does do did costs "
    "makes gives needs takes pays"
)

Narrow = Callable[[str, Evidence], Evidence]
"""Where in a piece of evidence a part's words stand: evidence of its own, or an ungrounded one."""


class SplitGroup(Frozen):
    """Claims that are offered in one call."""

    id: str
    claim_ids: tuple[str, ...]


class SplitPlan(Frozen):
    """The stored offers."""

    groups: tuple[SplitGroup, ...]


class SplitParts(Frozen):
    """The committed output of a group, in the order of its claims; no parts: the claim is whole."""

    parts: tuple[tuple[str, ...], ...]


def plan_splits(claims: Sequence[Claim]) -> SplitPlan:
    """The claims that may say several things."""
    offered = [claim.id for claim in claims if joins_clauses(claim.text)]
    return SplitPlan(
        groups=tuple(
            SplitGroup(id=f"split_{number:04d}", claim_ids=tuple(offered[start : start + GROUP]))
            for number, start in enumerate(range(0, len(offered), GROUP), start=1)
        )
    )


def joins_clauses(text: str) -> bool:
    """Whether a wording joins clauses that could each be a claim, none the reason of the other."""
    clauses = [clause for clause in _JOINT.split(text) if len(content_of(clause)) >= _LEAST_CONTENT]
    return len(clauses) > 1 and not _DEPENDS.search(text)


async def split_texts(texts: Sequence[str], ledger: Ledger) -> SplitParts:
    """Ask for the parts of claims; what does not hold is left whole.

    Raises:
        AnswerInvalidError: the model does not answer in the schema.
        AnswerTruncatedError: its answer was cut off.
    """
    schema = keyed_answer("Splits", "s", len(texts), tuple[str, ...])
    lines = [f"s{number}: {text}" for number, text in enumerate(texts, start=1)]
    limit = 2 * sum(map(estimate_tokens, texts)) + _SPARE_TOKENS
    answer = await ledger.ask(request_of(PROMPT, lines, schema, ledger, max_tokens=limit), schema)
    return SplitParts(
        parts=tuple(
            true_parts(text, getattr(answer, f"s{number}"))
            for number, text in enumerate(texts, start=1)
        )
    )


def true_parts(text: str, parts: Sequence[str]) -> tuple[str, ...]:
    """The parts of a claim if they say together what it says and nothing else; else none."""
    told = tuple(dict.fromkeys(" ".join(part.split()) for part in parts if part.strip()))
    if not 2 <= len(told) <= MAX_PARTS:
        return ()
    said, content = words_of(text), content_of(text)
    contents = [content_of(part) for part in told]
    together = frozenset().union(*contents)
    whole = (
        all(part <= said and len(part) >= _LEAST_CONTENT for part in contents)
        and all(one != other for one in contents for other in contents if one is not other)
        and len(together & content) >= _KEPT * len(content)
        and numbers_of(" ; ".join(told)) == numbers_of(text)
        and names_of(text) <= together
        and not any(part >= content for part in contents)
    )
    alone = [told[0], *(_alone(part, told[0]) for part in told[1:])]
    return tuple(filter(None, alone)) if whole and all(alone) else ()


def _alone(part: str, first: str) -> str:
    """A later part with the first one's subject for "it" or "they"; "" where that is unclear."""
    words = part.split()
    lead = words[0].casefold()
    if lead in _PRONOUNS:
        subject = _subject(first)
        plural = subject.casefold().endswith("s")
        if not subject or (lead in ("it", "they") and plural != (lead == "they")):
            return ""
        words[0:1] = subject.split()
    pointing = [word.casefold().strip(",.;") for word in words]
    if any(word in ("it", "its") for word in pointing):
        return ""
    own = next((place for place, word in enumerate(pointing) if word in _POINTING), len(pointing))
    return " ".join(words) if own >= _OWN_SUBJECT else ""


def _subject(clause: str) -> str:
    """The words before a clause's verb, if they are a few and no pronoun; else ""."""
    words = clause.split()
    for place, word in enumerate(words[1 : _LONGEST_SUBJECT + 1], start=1):
        if word.casefold() in _VERBS.split() or word.endswith("ed"):
            return " ".join(words[:place]) if words[0].casefold() not in _SPEAKERS else ""
    return ""


def parts_of(
    claim: Claim, texts: Sequence[str], narrow: Narrow, taken: Collection[str]
) -> tuple[Claim, ...]:
    """The claims that a claim is split into; none if one of them is a claim already.

    Args:
        claim: what is split.
        texts: what its parts say.
        narrow: finds a part's words in the claim's evidence.
        taken: claim ids that are in use.
    """
    parts: list[Claim] = []
    for text in texts:
        evidence = tuple(dict.fromkeys(_narrowed(text, item, narrow) for item in claim.evidence))
        words = " ".join(normalise(text))
        verbatim = any(words in " ".join(normalise(item.quote)) for item in evidence)
        parts.append(
            claim.model_copy(
                update={
                    "id": f"clm_{digest_of([claim.id, 'part', text])[:12]}",
                    "text": text,
                    "rewritten": not verbatim,
                    "evidence": evidence,
                }
            )
        )
    return () if any(part.id in taken for part in parts) else tuple(parts)


def split_verdict(claim: Claim, parts: Sequence[Claim]) -> Verdict:
    """The verdict on a claim that its parts stand for."""
    return Verdict(
        claim_id=claim.id,
        decision=Decision.SPLIT,
        canonical_text=claim.text,
        importance=0,
        novelty=0,
        confidence=0,
        reasoning="Says several things, each now a claim of its own.",
        split_into=tuple(part.id for part in parts),
    )


def _narrowed(text: str, evidence: Evidence, narrow: Narrow) -> Evidence:
    if evidence.alignment is Alignment.UNGROUNDED:
        return evidence
    found = narrow(text, evidence)
    return evidence if found.alignment is Alignment.UNGROUNDED else found
