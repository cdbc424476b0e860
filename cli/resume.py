"""``stope resume``: let a job go on that does not."""

from __future__ import annotations

import typer

from cli.console import settings_with_logging, start
from cli.options import AsJson, Detach, JobArgument, MaxTokens, MaxUsd
from cli.work import do
from client import JobClient
from stope.models.job import Job
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resume")(resume)


def resume(
    job: JobArgument,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Let a job go on: paused, failed, cancelled, or never begun. Nothing finished is done again.

    A job that paused at its limit gets a new one by --max-usd or --max-tokens. One that runs is
    joined; one with a result answers at once.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = settings_with_logging()
    code = start(_resume(settings, job, max_usd, max_tokens, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _resume(
    settings: Settings,
    job_id: str,
    max_usd: float | None,
    max_tokens: int | None,
    detach: bool,
    as_json: bool,
) -> int:
    async with JobClient(settings) as client:

        async def begin(job: Job) -> Job:
            return await client.resume(job.id, max_usd=max_usd, max_tokens=max_tokens)

        job = await client.job(job_id)
        again = await client.is_cut_short(job.id)
        return await do(client, settings, [job], begin, as_json=as_json, detach=detach, again=again)
