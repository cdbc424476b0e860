"""``stope export``: a finished job as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import settings_with_logging, start, status
from cli.options import JobArgument
from client import JobClient
from stope.errors import UsageError
from stope.report.exports import FORMATS, formats_for
from stope.settings import Settings

_NAMES = ", ".join(FORMATS)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    job: JobArgument,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help=f"One of {_NAMES}; may be given again.", show_default=False),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every format that fits the job.")
    ] = False,
    folder: Annotated[Path, typer.Option("-o", "--output", help="Where to write.")] = Path(),
    embed_audio: Annotated[
        bool | None,
        typer.Option(
            "--embed-audio/--no-embed-audio",
            help="Whether report.html holds the recording; if left out, when it has 5 MB or less.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a finished job's transcript and knowledge as files, and print their paths."""
    wanted = formats or []
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise UsageError(f"There is no format {unknown[0]!r}; there are {_NAMES}.")
    if bool(wanted) == everything:
        raise UsageError(f"Say either --all or which --format to write: {_NAMES}.")
    start(_export(settings_with_logging(), job, tuple(wanted), folder, embed_audio))


async def _export(
    settings: Settings,
    job_id: str,
    formats: tuple[str, ...],
    folder: Path,
    embed_audio: bool | None,
) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        if not formats:
            fitting = formats_for(await client.document(job.id))
            left = [name for name in FORMATS if name not in fitting]
            if left:
                status(f"not written, since the job has nothing to say in them: {', '.join(left)}")
            formats = fitting
        for path in await client.export(job.id, folder, formats, embed_audio=embed_audio):
            typer.echo(str(path))
