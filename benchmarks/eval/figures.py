"""Figures: what is published of the scores, with the values to reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from benchmarks.eval.content import Content
from benchmarks.eval.score import Knowing, Score
from benchmarks.eval.selection import Counts
from benchmarks.eval.speech import DiarizationErrors
from benchmarks.eval.timing import Starts, percentile
from stope.models.frozen import Frozen


class Figure(Frozen):
    """One published figure: what it is, its value and the one to reach; None is "not measured"."""

    name: str
    value: str | None
    target: str = ""
    met: bool | None = None


def figures(scores: Sequence[Score]) -> list[Figure]:
    """The published figures over some dialogues: all counts added up before anything is divided."""
    return [*_knowing_figures([s.knowing for s in scores if s.knowing]), *_speech_figures(scores)]


def _knowing_figures(known: Sequence[Knowing]) -> list[Figure]:
    if not known:
        return []
    counts = _sum(k.selection.counts for k in known)
    rule, mined = _sum(k.selection.rule for k in known), _sum(k.selection.mined for k in known)
    margin = counts.f1 - rule.f1
    types_right = sum(k.selection.types_right for k in known)
    accepted = sum(k.grounding.accepted for k in known)
    verbatim = sum(k.grounding.verbatim for k in known)
    starts = Starts(
        total=sum(k.starts.total for k in known),
        errors=tuple(error for k in known for error in k.starts.errors),
    )
    return [
        Figure(name="Claim selection, precision", value=f"{counts.precision:.2f}"),
        Figure(name="Claim selection, recall", value=f"{counts.recall:.2f}"),
        Figure(
            name="Claim selection, F1",
            value=f"{counts.f1:.2f}",
            target="≥ 0.85",
            met=counts.f1 >= 0.85,
        ),
        Figure(name="F1 of the rule", value=f"{rule.f1:.2f}"),
        Figure(
            name="F1 above the rule", value=f"{margin:+.2f}", target="≥ +0.08", met=margin >= 0.08
        ),
        Figure(
            name="All mined claims, precision / recall",
            value=f"{mined.precision:.2f} / {mined.recall:.2f}",
        ),
        Figure(name="Types right", value=_share(types_right, counts.found)),
        Figure(
            name="Accepted claims with verbatim evidence and the words' own times",
            value=_share(verbatim, accepted),
            target="100 %",
            met=accepted > 0 and verbatim == accepted,
        ),
        *_start_figures("Evidence start", starts, reach=0.5),
        *_content_figures([k.content for k in known]),
    ]


def _content_figures(contents: Sequence[Content]) -> list[Figure]:
    summaries = [content.summary for content in contents if content.summary]
    facts = sum(summary.facts for summary in summaries)
    missing = sum(len(summary.missing) for summary in summaries)
    invented = sum(len(summary.invented_numbers) for summary in summaries)
    names = [names for content in contents for names in content.names]
    expected = sum(item.expected for item in names)
    absent = sum(len(item.missing) for item in names)
    return [
        Figure(name="Key facts in the summaries", value=_share(facts - missing, facts)),
        Figure(
            name="Numbers in the summaries that nobody said",
            value=str(invented) if summaries else None,
        ),
        Figure(
            name="Same claims merged",
            value=_right(pair.right for content in contents for pair in content.merges),
        ),
        Figure(
            name="Different claims kept apart",
            value=_right(pair.right for content in contents for pair in content.aparts),
        ),
        Figure(
            name="Double claims split",
            value=_right(item.right for content in contents for item in content.splits),
        ),
        Figure(name="People and organisations found", value=_share(expected - absent, expected)),
    ]


def _speech_figures(scores: Sequence[Score]) -> list[Figure]:
    words = [score.words for score in scores]
    total = sum(item.words for item in words)
    errors = sum(item.substitutions + item.deletions + item.insertions for item in words)
    starts = Starts(
        total=sum(score.starts.total for score in scores),
        errors=tuple(error for score in scores for error in score.starts.errors),
    )
    return [
        Figure(name="WER", value=_percent(errors, total)),
        *_start_figures("Sentence start", starts),
        *_speaker_figures(scores),
    ]


def _speaker_figures(scores: Sequence[Score]) -> list[Figure]:
    found = [score.speakers for score in scores if score.speakers]
    der_target, count_target = "≤ 4 %", "every one"
    if not found:
        return [
            Figure(name="DER, collar 0.25 s", value=None, target=der_target),
            Figure(name="DER, breaths within turns counted as speech", value=None),
            Figure(name="Speaker counts right", value=None, target=count_target),
        ]
    speech = reduce(add, (item.speech for item in found), DiarizationErrors())
    turns = reduce(add, (item.turns for item in found), DiarizationErrors())
    right = sum(item.speakers == item.speakers_found for item in found)
    return [
        Figure(
            name="DER, collar 0.25 s",
            value=f"{100 * speech.rate:.1f} %",
            target=der_target,
            met=speech.rate <= 0.04,
        ),
        Figure(
            name="DER, breaths within turns counted as speech", value=f"{100 * turns.rate:.1f} %"
        ),
        Figure(
            name="Speaker counts right",
            value=f"{right} of {len(scores)}",
            target=count_target,
            met=right == len(scores),
        ),
        Figure(
            name="Words given to their speaker",
            value=_share(sum(i.words_right for i in found), sum(i.words for i in found)),
        ),
    ]


def _start_figures(name: str, starts: Starts, reach: float | None = None) -> list[Figure]:
    median, p95 = percentile(starts.errors, 50), percentile(starts.errors, 95)
    return [
        Figure(
            name=f"{name}, median error",
            value=None if median is None else f"{median:.2f} s",
        ),
        Figure(
            name=f"{name}, p95 of the error",
            value=None if p95 is None else f"{p95:.2f} s",
            target="" if reach is None else f"≤ {reach} s",
            met=None if reach is None or p95 is None else p95 <= reach,
        ),
        Figure(name=f"{name}s measured", value=f"{len(starts.errors)} of {starts.total}"),
    ]


def _sum(counts: Iterable[Counts]) -> Counts:
    return reduce(add, counts, Counts())


def _right(checks: Iterable[bool | None]) -> str | None:
    known = [right for right in checks if right is not None]
    return f"{sum(known)} of {len(known)}" if known else None


def _share(part: int, whole: int) -> str | None:
    return f"{_percent(part, whole)} ({part} of {whole})" if whole else None


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0.0 %"
