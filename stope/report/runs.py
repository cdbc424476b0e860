"""The run on the page: what was done, by which model, and what it took."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from stope.models.money import dollars
from stope.report.document import Document
from stope.report.facts import StageFacts
from stope.report.lines import clock

_DEEDS = {"transcribe": "Transcribed", "mine": "Mined", "flagship": "Judged"}


class StageRow(NamedTuple):
    """One stage: its deed, its model, and figures as (name, value)."""

    deed: str
    model: str
    figures: list[tuple[str, str]]


class PageFacts(NamedTuple):
    """The stages, their totals, and where the document comes from, as (name, value)."""

    stages: list[StageRow]
    totals: list[tuple[str, str]]
    origin: list[tuple[str, str]]


def page_facts(document: Document) -> PageFacts:
    """The facts of a document; without recorded ones, which model did what."""
    found = document.facts.stages if document.facts else ()
    recorded = {stage.stage: stage for stage in found}
    models = {
        "transcribe": document.models.asr,
        "mine": document.models.miner,
        "flagship": document.models.flagship,
    }
    stages = []
    for stage, model in models.items():
        facts = recorded.get(stage)
        name = model or (facts.model if facts else None)
        if name:
            stages.append(StageRow(_DEEDS[stage], name, _figures(facts) if facts else []))
    return PageFacts(stages, _totals(list(recorded.values())), _origin(document))


def _figures(facts: StageFacts) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if facts.wall_seconds is not None:
        rows.append(("Time", duration(facts.wall_seconds)))
    if facts.engine_seconds is not None:
        rows.append(("In the model", duration(facts.engine_seconds)))
    if facts.units_done is not None:
        reused = facts.units_reused or 0
        rows.append(("Units", f"{facts.units_done:,} done, {reused:,} reused"))
    if facts.llm_calls is not None:
        reused = facts.llm_answers_reused or 0
        rows.append(("LLM calls", f"{facts.llm_calls:,} made, {reused:,} answers reused"))
    if facts.llm_answers_from_other_models:
        taken = facts.llm_answers_from_other_models
        rows.append(("From other models", f"{taken:,} answers taken over"))
    if facts.prompt_tokens is not None:
        written = facts.completion_tokens or 0
        rows.append(("Tokens", f"{facts.prompt_tokens:,} read, {written:,} written"))
    if facts.llm_calls and facts.cost_usd is not None:
        rows.append(("Cost", _cost(facts.cost_usd, facts.llm_calls_unpriced or 0)))
    if facts.cost_saved_usd:
        rows.append(("Saved by the ledger", _cost(facts.cost_saved_usd, 0)))
    if facts.attempts > 1:
        rows.append(("Runs", f"{facts.attempts}"))
    if facts.finished_at:
        rows.append(("Finished", moment(facts.finished_at)))
    return rows


def _cost(usd: float, unpriced: int) -> str:
    """What calls cost; a price that is not known is said to be unknown, never nothing."""
    known = dollars(usd)
    if not unpriced:
        return known
    unknown = f"{unpriced:,} calls of unknown price"
    return f"{known} and {unknown}" if usd else unknown


def _totals(stages: list[StageFacts]) -> list[tuple[str, str]]:
    if not stages:
        return []
    read = sum(stage.prompt_tokens or 0 for stage in stages)
    written = sum(stage.completion_tokens or 0 for stage in stages)
    return [
        ("Working time", duration(sum(stage.wall_seconds or 0 for stage in stages))),
        ("LLM calls", f"{sum(stage.llm_calls or 0 for stage in stages):,}"),
        ("Answers reused", f"{sum(stage.llm_answers_reused or 0 for stage in stages):,}"),
        ("Tokens", f"{read + written:,}"),
        ("Units reused", f"{sum(stage.units_reused or 0 for stage in stages):,}"),
    ]


def _origin(document: Document) -> list[tuple[str, str]]:
    rows = [
        ("Source", document.source.path),
        ("SHA-256", document.source.digest),
        ("Job", document.job_id),
        ("Made", moment(document.created_at)),
    ]
    if document.transcript is not None:
        rows.append(("Words", f"{len(document.transcript.words):,}"))
        if document.duration is not None:
            rows.append(("Length", clock(document.duration)))
        if document.transcript.language != "und":
            rows.append(("Language", document.transcript.language))
    if document.diarization is not None:
        rows.append(("Speakers told apart by", document.diarization.engine))
    if document.skipped:
        kinds = sorted(document.skipped.items(), key=lambda item: (-item[1], item[0]))
        said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds)
        rows.append(("Sentences that claim nothing", said))
    return rows


def moment(text: str) -> str:
    """An ISO 8601 time as people read it, or the text as it is when it is none.

    >>> moment("2026-05-04T10:12:00+00:00")
    '2026-05-04 10:12 UTC'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time.tzinfo else text


def duration(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 28 s`` or ``2 h 05 min``.

    >>> duration(0.42), duration(208), duration(7500)
    ('0.4 s', '3 min 28 s', '2 h 05 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute:02} min"
    return f"{minute} min {second:02} s" if minute else f"{second} s"
