"""``stope speakers``: who speaks in a finished job, and what they are called."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.console import clock, out, print_json, settings_with_logging, start, status
from cli.options import AsJson, JobArgument
from client import JobClient
from stope.errors import UsageError
from stope.report.speakers import SpeakerShare
from stope.settings import Settings

_WIDEST = 28


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("speakers")(speakers)


def speakers(
    job: JobArgument,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename",
            metavar="SPEAKER=NAME",
            help='Name a speaker: S1="Ann Lee"; S1= takes the name away. May be given again.',
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the speakers of a finished job, or name them.

    A name shows in the report and in every export of every job on the same transcript; those in
    the home are written anew. Nothing is computed again.
    """
    names = _names(rename or [])
    start(_speakers(settings_with_logging(), job, names, as_json))


async def _speakers(settings: Settings, job_id: str, names: dict[str, str], as_json: bool) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        if names:
            for path in await client.rename_speakers(job.id, names):
                status(f"written anew: {path}")
        found = await client.speakers(job.id)
    if as_json:
        print_json([item.model_dump(mode="json") for item in found])
    else:
        _print(found)


def _names(renames: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for text in renames:
        speaker, separator, name = text.partition("=")
        if not separator or not speaker.strip():
            raise UsageError(f'{text!r} names nobody; write --rename S1="Ann Lee".')
        names[speaker.strip()] = name
    return names


def _print(found: list[SpeakerShare]) -> None:
    rows = [
        (item.speaker, item.name or "", clock(item.seconds), f"{item.share:.0%}") for item in found
    ]
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(("speaker", "name", "time", "share")):
        # What tells speakers apart is shown in full; their first words have what room is left.
        width = min(_WIDEST, max(len(title), *(len(row[number]) for row in rows)))
        table.add_column(
            title,
            min_width=width,
            max_width=width,
            no_wrap=True,
            justify="right" if number > 1 else "left",
        )
    table.add_column("first words", no_wrap=True, overflow="ellipsis")
    for item, row in zip(found, rows, strict=True):
        table.add_row(*map(Text, row), Text(f"{item.first_words} …"))
    out.print(table)
