"""The page: docs/performance.md, every figure with its target, its spread and its raw figures."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import psutil

from benchmarks.bench.measure import Figure, Row, Series
from benchmarks.bench.rows import KINDS, Kind
from benchmarks.bench.whole_file import cores
from stope.settings import DEFAULT_ASR, DEFAULT_LLM

HEAD = """\
# Performance

This page is made by `python -m benchmarks.bench --write docs/performance.md` (`make bench`); change
nothing here by hand. It says what Stope costs. Nearly every figure compares sides that took turns
within one run on one machine, A B A B …: absolute times mean little on a machine whose speed others
share, ratios and differences of neighbours do. A figure is the median (or what its row says),
with its least and greatest in brackets; all raw figures are below. Rows may be of different runs.

{machine} Speech model: `{asr}`. Language model: `{llm}`.
"""

_PACKAGES = ("faster-whisper", "ctranslate2", "temporalio", "dbos", "xllamacpp")
_KIND = {kind.key: kind for kind in KINDS}


def row_lines(row: Row) -> list[str]:
    """A row for a terminal."""
    return [
        f"{row.key}: {_KIND[row.key].what}",
        *(f"  {figure_text(figure)}" for figure in row.figures),
        *(f"    {_series_text(series)}" for series in row.series),
        *(f"    {note}" for note in row.notes),
        *([f"  not measured: {row.failure}"] if row.failure else []),
    ]


def figure_text(figure: Figure) -> str:
    """A figure with its spread, its target, and whether that was reached."""
    text = f"{figure.name}: {_value(figure)} {_spread(figure)}"
    if figure.limit is None:
        return text if figure.doubt is None else f"{text}; NOT VALID: {figure.doubt}"
    if figure.doubt is not None:
        return f"{text}; to reach {_limit(figure)}: NOT VALID: {figure.doubt}"
    return f"{text}; to reach {_limit(figure)}: {'reached' if figure.met else 'MISSED'}"


def render_page(rows: Sequence[Row]) -> str:
    """The whole page in Markdown; a row that was not asked for is "not measured"."""
    found = {row.key: row for row in rows}
    parts = [
        HEAD.format(machine=_machine(), asr=DEFAULT_ASR, llm=DEFAULT_LLM),
        "## Figures\n",
        *_table(
            ["what", "figure", "to reach", "reached"],
            [line for kind in KINDS for line in _summary(kind, found.get(kind.key))],
        ),
        "",
    ]
    for kind in KINDS:
        if kind.key in found:
            parts += _section(kind, found[kind.key])
    return "\n".join(parts).rstrip() + "\n"


def _summary(kind: Kind, row: Row | None) -> list[list[str]]:
    if row is None or not row.figures:
        return [[kind.what, "not measured", "", ""]]
    shown = [figure for figure in row.figures if figure.limit is not None] or row.figures
    return [
        [
            kind.what if number == 0 else figure.name,
            f"**{_value(figure)}** {_spread(figure)}",
            "" if figure.limit is None else _limit(figure),
            _reached(figure),
        ]
        for number, figure in enumerate(shown)
    ]


def _reached(figure: Figure) -> str:
    if figure.doubt is not None:
        return "**not valid**"
    return {None: "", True: "yes", False: "**no**"}[figure.met]


def _section(kind: Kind, row: Row) -> Iterable[str]:
    yield f"## {kind.what}\n"
    yield f"    python -m benchmarks.bench --only {kind.key}\n"
    if row.day is not None:
        yield f"Measured on {row.day}.\n"
    yield f"{kind.meaning}\n"
    if row.failure is not None:
        yield f"**Not measured:** {row.failure}\n"
        return
    yield from (f"- {figure_text(figure)}" for figure in row.figures)
    yield ""
    yield from _table(["raw figures", "median", "each, in order"], map(_series_row, row.series))
    yield ""
    for note in row.notes:
        yield f"{note}\n"


def _series_row(series: Series) -> list[str]:
    return [
        f"{series.name}, {series.unit}",
        _number(series.median, series.unit),
        " ".join(_number(value, series.unit) for value in series.values),
    ]


def _series_text(series: Series) -> str:
    values = " ".join(_number(value, series.unit) for value in series.values)
    return f"{series.name}, {series.unit}: {values}"


def _value(figure: Figure) -> str:
    if figure.unit == "ratio":
        return _number(figure.value, figure.unit)
    sign = "+" if figure.unit == "points" and figure.value >= 0 else ""
    return f"{sign}{_number(figure.value, figure.unit)} {figure.unit}"


def _spread(figure: Figure) -> str:
    return f"({_number(figure.low, figure.unit)} to {_number(figure.high, figure.unit)})"


def _limit(figure: Figure) -> str:
    sign = "+" if figure.unit == "points" else ""
    unit = "" if figure.unit == "ratio" else f" {figure.unit}"
    return f"≤ {sign}{figure.limit:g}{unit}"


def _number(value: float, unit: str) -> str:
    digits = {"MB": 0, "tokens": 0, "ratio": 3, "s": 2, "ms": 2, "%": 2, "points": 2}[unit]
    return f"{value:.{digits}f}"


def _machine() -> str:
    memory = psutil.virtual_memory().total / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"Measured on {platform.system()} with {cores()} {platform.machine()} cores and "
        f"{memory:.0f} GB of memory; Python {python}, {packages}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
