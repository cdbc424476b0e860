"""``stope result``: the final result of a job."""

from __future__ import annotations

import json

import typer

from cli.console import FAILED, job_json, print_json, settings_with_logging, start
from cli.options import AsJson, JobArgument
from client import JobClient, JobFailedError
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("result")(result)


def result(job: JobArgument, as_json: AsJson = False) -> None:
    """Show the final result of a job. Exit code 1 if it failed, 2 if it has not finished."""
    code = start(_result(settings_with_logging(), job, as_json))
    if code:
        raise typer.Exit(code)


async def _result(settings: Settings, job_id: str, as_json: bool) -> int:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        try:
            found = await client.result(job.id)
        except JobFailedError as error:
            if not as_json:
                raise
            print_json(job_json(job, error=str(error)))
            return FAILED
    if as_json:
        print_json(job_json(job))
    else:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return 0
