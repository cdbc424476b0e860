"""``stope cancel``: end a running job."""

from __future__ import annotations

import typer

from cli.console import command_line, settings_with_logging, start, status
from cli.options import JobArgument
from client import JobClient
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cancel")(cancel)


def cancel(job: JobArgument) -> None:
    """End a running job. Units in flight are committed; the same run goes on where it stood."""
    start(_cancel(settings_with_logging(), job))


async def _cancel(settings: Settings, job_id: str) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        await client.cancel(job.id)
    status(f"asked {job.id} to stop; {command_line('status', job.id)} shows when it has")
