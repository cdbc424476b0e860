"""``stope export``: a finished job as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import settings_with_logging, start
from cli.options import JobArgument
from client import JobClient
from stope.errors import UsageError
from stope.report.exports import FORMATS
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    job: JobArgument,
    formats: Annotated[
        list[str],
        typer.Option("--format", help=f"One of {', '.join(FORMATS)}; may be given again."),
    ],
    folder: Annotated[Path, typer.Option("-o", "--output", help="Where to write.")] = Path(),
) -> None:
    """Write a finished job's transcript and knowledge as files, and print their paths."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"There is no format {unknown[0]!r}; there are {', '.join(FORMATS)}.")
    start(_export(settings_with_logging(), job, tuple(formats), folder))


async def _export(settings: Settings, job_id: str, formats: tuple[str, ...], folder: Path) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        for path in await client.export(job.id, folder, formats):
            typer.echo(str(path))
