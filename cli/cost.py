"""``stope cost``: the bill."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer

from cli.console import out, print_json, settings_with_logging, start
from cli.options import AsJson
from client import JobClient
from stope.models.money import dollars
from stope.money.bill import Bill, BillRow
from stope.settings import Settings

_MODEL = 24
"""Columns that a model's name has: the row then has 80."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cost")(cost)


def cost(
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB]", help="A job's id, or the beginning of it.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what language models cost, by job, stage and model, and what the ledger saved.

    An answer is paid for once: `reused` counts the requests that the ledger answered, and `saved`
    is what these answers had cost. Embedded and Ollama models cost nothing. A model whose price is
    not known is listed as such, never as free; STOPE_LLM_PRICE=IN/OUT says what it costs from then
    on. Without JOB: all jobs of this home.
    """
    start(_cost(settings_with_logging(), job, as_json))


async def _cost(settings: Settings, job_id: str | None, as_json: bool) -> None:
    async with JobClient(settings) as client:
        bill = await client.cost(job_id)
    if as_json:
        print_json(bill.model_dump(mode="json") | {"unknown_prices": bill.unknown_prices})
        return
    for line in bill_lines(bill):
        out.print(line, markup=False)


def bill_lines(bill: Bill) -> list[str]:
    """The bill as text, 80 columns wide."""
    if not bill.rows:
        return ["no language model was asked", *_unbooked(bill)]
    titles = f"{'calls':>6}{'tokens':>10}{'cost':>11}{'reused':>8}{'saved':>10}"
    lines = [f"  {'stage':<9}{'model':<{_MODEL}}{titles}"]
    for job_id, rows in groupby(bill.rows, key=lambda row: row.job_id):
        lines.append(job_id)
        lines += map(_line, rows)
    return [*lines, *_totals(bill), *_unbooked(bill)]


def _line(row: BillRow) -> str:
    model = row.model if len(row.model) < _MODEL else f"…{row.model[-_MODEL + 2 :]}"
    known = row.answers > row.unpriced or not row.answers
    paid = f"{dollars(row.cost_usd)}{'+?' if row.unpriced else ''}" if known else "unknown"
    saved = dollars(row.saved_usd) if row.reused else "-"
    return (
        f"  {row.stage:<9}{model:<{_MODEL}}{row.answers:>6,}{row.tokens:>10,}{paid:>11}"
        f"{row.reused or '-':>8}{saved:>10}"
    )


def _totals(bill: Bill) -> list[str]:
    reused = f"{bill.reused:,} answers from the ledger ({bill.reused_tokens:,} tokens)"
    lines = [
        f"paid {dollars(bill.cost_usd)} for {bill.answers:,} answers ({bill.tokens:,} tokens)",
        f"saved {dollars(bill.saved_usd)} by {reused}",
    ]
    lines += [
        f"price unknown: {count:,} answers of {model}, not in the sum"
        for model, count in bill.unknown_prices.items()
    ]
    others = sum(row.other_model for row in bill.rows)
    if others:
        lines.append(f"{others:,} of the reused answers are another model's (--accept-cached)")
    return lines


def _unbooked(bill: Bill) -> list[str]:
    if not bill.unbooked:
        return []
    return [f"{bill.unbooked:,} older answers were kept before there were bills: not in it"]
