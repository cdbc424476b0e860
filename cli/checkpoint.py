"""``stope checkpoint``: the mirrored ``checkpoint_json``."""

from __future__ import annotations

import json

import typer

from cli.console import job_json, print_json, settings_with_logging, start, status
from cli.options import AsJson, JobArgument
from client import JobClient
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("checkpoint")(checkpoint)


def checkpoint(job: JobArgument, as_json: AsJson = False) -> None:
    """Show the checkpoint of a job's newest run, as it is mirrored in the records."""
    start(_checkpoint(settings_with_logging(), job, as_json))


async def _checkpoint(settings: Settings, job_id: str, as_json: bool) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        found = await client.checkpoint(job.id)
    if as_json:
        print_json(job_json(job, checkpoint=found))
    elif found is None:
        status(f"the job {job.id} has no checkpoint yet")
    else:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
