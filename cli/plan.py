"""``stope plan``: what a run would take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from cli.console import clock, command_line, out, print_json, settings_with_logging, start, status
from cli.options import (
    AsJson,
    Asr,
    DiarizeOption,
    FlagshipLlm,
    Language,
    Llm,
    SelectionOption,
    Speakers,
)
from client import JobClient
from stope.models.money import dollars
from stope.money.plan import InputPlan, Money, RunPlan, Span, StagePlan
from stope.settings import Settings
from stope.sources.location import shown

_SHOWN = 12
"""Inputs that are listed one by one."""

_SKIPPED = 4
"""Files that are no input and listed one by one."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…",
            help="Recordings or texts (files, s3://, gs:// or https:// URLs), folders, or jobs.",
        ),
    ],
    llm: Llm = None,
    flagship_llm: FlagshipLlm = None,
    asr: Asr = None,
    language: Language = None,
    diarize: DiarizeOption = None,
    speakers: Speakers = None,
    selection: SelectionOption = None,
    listen: Annotated[
        bool | None,
        typer.Option(
            "--listen/--no-listen",
            help="Decode recordings and find their speech first, for a narrower plan: seconds for "
            "an hour of it. Left out: only those of at most 10 minutes.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would take, before it: calls, tokens, money and time, and what is paid for.

    Give the options of the run. Nothing is started, no model is run, no server is needed. What
    hangs on answers that nobody has yet is a range. Prices are those of the genai-prices tables;
    embedded and Ollama models cost nothing, and an unknown price is said to be unknown. Time is
    known where earlier runs of this home used the same models.
    """
    config: dict[str, object] = {
        "asr_model": asr,
        "language": language,
        "diarize": diarize,
        "speakers": speakers,
        "selection": selection,
        "miner_model": llm,
        "flagship_model": flagship_llm or llm,
    }
    start(_plan(settings_with_logging(), paths, config, listen, as_json))


async def _plan(
    settings: Settings,
    paths: list[str],
    config: dict[str, object],
    listen: bool | None,
    as_json: bool,
) -> None:
    async with JobClient(settings) as client:
        found = await client.plan(paths, config, listen=listen)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for line in plan_lines(found):
        out.print(line, markup=False)
    for item in found.skipped[:_SKIPPED]:
        status(f"skipped: {item.reason}")
    if len(found.skipped) > _SKIPPED:
        status(f"skipped: {len(found.skipped) - _SKIPPED} more; --json names them all")
    if found.calls.high:
        names = " ".join(map(shown, paths))
        status(f"nothing was started; {command_line('run')} {names} --max-usd N keeps to a budget")


def plan_lines(plan: RunPlan) -> list[str]:
    """A plan as text, 80 columns wide."""
    lines = [_input(item) for item in plan.inputs[:_SHOWN]]
    if len(plan.inputs) > _SHOWN:
        lines.append(f"… and {len(plan.inputs) - _SHOWN} more")
    if len(plan.inputs) > 1 and plan.audio:
        lines.append(f"{len(plan.inputs)} inputs, {plan.audio / 3600:.1f} hours of audio")
    if not plan.inputs:
        return ["no recording and no text to plan for"]
    lines.append(
        f"{'stage':<11}{'calls':>10}{'paid for':>10}{'tokens':>14}{'cost':>20}{'time':>13}"
    )
    by_stage: defaultdict[str, list[StagePlan]] = defaultdict(list)
    for stage in plan.stages:
        by_stage[stage.stage].append(stage)
    for name, stages in by_stage.items():
        lines.append(_row(name, RunPlan(inputs=(_together(stages),))))
    lines.append(_row("all", plan))
    return [*lines, *_unknown(plan)]


def _together(stages: Iterable[StagePlan]) -> InputPlan:
    return InputPlan(path="", kind="", job_id="", stages=tuple(stages))


def _row(name: str, plan: RunPlan) -> str:
    if all(stage.done for stage in plan.stages):
        return f"{name:<11}{'done':>10}{'':>10}{'0':>14}{dollars(Decimal(0)):>20}{'0s':>13}"
    asks = name != "transcribe"
    cells = (
        _whole(plan.calls) if asks else "-",
        _whole(plan.paid_calls) if asks else "-",
        _whole(plan.tokens) if asks else "-",
        "unknown" if plan.cost_usd is None else _money(plan.cost_usd),
        "unknown" if plan.seconds is None else _times(plan.seconds),
    )
    return f"{name:<11}{cells[0]:>10}{cells[1]:>10}{cells[2]:>14}{cells[3]:>20}{cells[4]:>13}"


def _input(item: InputPlan) -> str:
    facts = [clock(item.audio)] if item.audio is not None else []
    facts += [
        f"{_whole(span)} {noun}{'' if _whole(span) == '1' else 's'}"
        for span, noun in (
            (item.chunks, "chunk"),
            (item.words, "word"),
            (item.segments, "segment"),
        )
        if span.high
    ]
    if item.stages and all(stage.done for stage in item.stages):
        facts.append("done")
    return f"{Path(item.path).name or item.job_id}: {', '.join(facts) or 'length unknown'}"


def _unknown(plan: RunPlan) -> list[str]:
    lines = []
    if plan.unknown_prices:
        lines.append(f"price unknown: {', '.join(plan.unknown_prices)}")
    lines += [f"time unknown, no earlier run here: {name}" for name in plan.unknown_speeds]
    return lines


def _whole(span: Span) -> str:
    low, high = _short(span.low), _short(span.high)
    return low if low == high else f"{low}-{high}"


def _short(value: float) -> str:
    for size, letter, least in ((1e9, "G", 1e10), (1e6, "M", 1e7), (1e3, "k", 1e4)):
        if value >= least:
            return f"{value / size:,.0f}{letter}"
    return f"{value:,.0f}"


def _money(money: Money) -> str:
    low, high = (
        f"${value:,.0f}" if value >= 1000 else dollars(value) for value in (money.low, money.high)
    )
    return low if low == high else f"{low}-{high.removeprefix('$')}"


def _times(span: Span) -> str:
    low, high = _time(span.low), _time(span.high)
    return low if low == high else f"{low}-{high}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:,.1f}h" if seconds < 360_000 else f"{seconds / 86_400:,.0f}d"
