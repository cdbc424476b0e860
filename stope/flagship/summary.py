"""The summary: from accepted claims alone, checked against them, or else in their own words.

Many claims are summed up in groups by time, and then those summaries together. A sentence whose
numbers or names occur in no claim, or whose words mostly do not, is left out; if too little is left
the model may mend its answer once, and after that the best claims themselves are the summary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from pydantic import Field

from stope.errors import AnswerInvalidError, UnitError
from stope.flagship.asking import request_of
from stope.flagship.contrast import content_of, unsaid, words_of
from stope.llm.chat import Message
from stope.llm.ledger import Ledger
from stope.llm.tokens import estimate_tokens
from stope.models.claim import Claim
from stope.models.frozen import Frozen
from stope.models.knowledge import JudgedClaim, Summary

log = logging.getLogger(__name__)

PROMPT = "summary"
SUMMARY_VERSION = 1
"""Part of every flagship job's id: raise it when a change here would give another summary."""

GROUP = 20
"""Claims that are summed up in one call."""

MOST_GROUPS = 12
"""Of more claims only the best are summed up."""

BEST = 3
"""Claims that the summary of a model that cannot judge must not leave out."""

FEWEST = 3
"""Fewer claims are their own summary."""

_ANSWER_TOKENS = 240
_GROUNDED = 0.6
"""Share of a sentence's words with meaning that the claims have."""

_REPEATED = 0.75
"""Share of a sentence's words with meaning that make it another one's repetition."""

_LONGEST_SHORT = 45
_SHORT_CLAIMS, _LONG_CLAIMS = 1, 6


class RawSummary(Frozen):
    """A summary as the model put it."""

    short: str = Field(min_length=1)
    long: tuple[str, ...]


class SummaryPart(Frozen):
    """The committed output of one group: what holds of the model's answers; empty if nothing."""

    short: str
    long: tuple[str, ...]


def grouped(accepted: Sequence[JudgedClaim], context: int) -> list[list[Claim]]:
    """The claims to sum up, in groups by time, each within half a context.

    Args:
        accepted: by rank.
        context: tokens that the model can take.
    """
    best = [item.claim for item in accepted[: GROUP * MOST_GROUPS]]
    best.sort(key=_began)
    count = max(1, -(-len(best) // GROUP))
    groups: list[list[Claim]] = []
    for number in range(count):
        part = best[number * len(best) // count : (number + 1) * len(best) // count]
        room = context // 2
        group: list[Claim] = []
        for claim in part:
            room -= estimate_tokens(claim.text)
            if group and room < 0:
                groups.append(group)
                group, room = [], context // 2 - estimate_tokens(claim.text)
            group.append(claim)
        groups.append(group)
    return groups


async def sum_up(texts: Sequence[str], sources: Sequence[str], ledger: Ledger) -> SummaryPart:
    """A checked summary of some texts; an empty one where the model gives none that holds.

    Args:
        texts: claims, or summaries of claims.
        sources: all that may be said: the claims and the words they rest on.
        ledger: who is asked.
    """
    try:
        return await _ask(texts, sources, ledger)
    except UnitError as error:
        log.warning("the best claims are the summary: %s", error)
        return SummaryPart(short="", long=())


async def _ask(texts: Sequence[str], sources: Sequence[str], ledger: Ledger) -> SummaryPart:
    lines = [f"{number}: {text}" for number, text in enumerate(texts, start=1)]
    request = request_of(
        PROMPT, lines, RawSummary, ledger, max_tokens=_ANSWER_TOKENS, task_last=True
    )
    raw = await ledger.ask(request, RawSummary)
    held = holding(raw, sources)
    if held is None:
        complaint = (
            f"The claims do not say this: {', '.join(_flaws(raw, sources)) or 'most of it'}. Give "
            "the whole answer again, with only what the claims say, in their words."
        )
        messages = (
            *request.messages,
            Message(role="assistant", content=raw.model_dump_json()),
            Message(role="user", content=complaint),
        )
        again = await ledger.ask(request.model_copy(update={"messages": messages}), RawSummary)
        held = holding(again, sources)
    if held is None:
        raise AnswerInvalidError("the summary says what no claim says, also after the repair")
    return held


def holding(raw: RawSummary, sources: Sequence[str]) -> SummaryPart | None:
    """What of a summary the sources bear out: short form and two sentences at least, or None."""
    sentences = [" ".join(item.split()) for item in raw.long if item.strip()]
    kept = [item for item in sentences if _holds(item, sources)]
    short = " ".join(raw.short.split())
    too_long = len(short.split()) > _LONGEST_SHORT
    if too_long or len(kept) < 2 or not _holds(short, sources):
        return None
    return SummaryPart(short=short, long=_unrepeated(kept))


def written(parts: Sequence[SummaryPart], whole: SummaryPart | None) -> Summary:
    """The summary of one group; or of all together, with a sentence for each group."""
    if whole is None:
        return Summary(short=parts[0].short, long=" ".join(parts[0].long))
    return Summary(short=whole.short, long=" ".join(part.short for part in parts))


def extractive(accepted: Sequence[JudgedClaim]) -> Summary | None:
    """The best claims in their own words, in the order of the recording; None without claims."""
    if not accepted:
        return None
    best = sorted((item.claim for item in accepted[:_LONG_CLAIMS]), key=_began)
    return Summary(
        short=" ".join(_ended(item.claim.text) for item in accepted[:_SHORT_CLAIMS]),
        long=" ".join(_ended(claim.text) for claim in best),
        extractive=True,
    )


def completed(summary: Summary, left_out: Sequence[Claim]) -> Summary:
    """A summary with claims that it leaves out at its end, in their own words."""
    added = [_ended(claim.text) for claim in sorted(left_out, key=_began)]
    return summary.model_copy(update={"long": " ".join([summary.long, *added])})


def _unrepeated(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences without those that mostly say an earlier one again."""
    found: dict[str, frozenset[str]] = {}
    for sentence in sentences:
        words = content_of(sentence)
        if all(
            len(words & other) < _REPEATED * min(len(words), len(other)) for other in found.values()
        ):
            found[sentence] = words
    return tuple(found)


def _holds(sentence: str, sources: Sequence[str]) -> bool:
    content = content_of(sentence)
    said = frozenset().union(*map(words_of, sources))
    return (
        bool(content)
        and not unsaid(sentence, sources)
        and len(content & said) >= _GROUNDED * len(content)
    )


def _flaws(raw: RawSummary, sources: Sequence[str]) -> list[str]:
    found = [flaw for text in (raw.short, *raw.long) for flaw in unsaid(text, sources)]
    return list(dict.fromkeys(found))


def _began(claim: Claim) -> tuple[float, int]:
    first = claim.evidence[0]
    return (first.start or 0.0, first.first_word or 0)


def _ended(text: str) -> str:
    return text if text.rstrip().endswith((".", "!", "?", "…")) else f"{text.rstrip()}."
