"""``stope pause`` and ``stope unpause``: a running job waits, and goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import command_line, settings_with_logging, start, status
from cli.options import JobArgument, MaxTokens, MaxUsd
from client import JobClient
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("unpause")(unpause)


def pause(
    job: JobArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="What people read meanwhile.", show_default=False)
    ] = "",
) -> None:
    """Let a running job wait. Units in flight are committed; `stope resume JOB` lets it go on.

    It is told at once, also while no worker is there; a stage of a pipeline holds the pipeline.
    """
    start(_pause(settings_with_logging(), job, reason))


async def _pause(settings: Settings, job_id: str, reason: str) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        await client.pause(job.id, reason)
    status(f"asked {job.id} to wait; {command_line('resume', job.id)} lets it go on")


def unpause(job: JobArgument, max_usd: MaxUsd = None, max_tokens: MaxTokens = None) -> None:
    """Let a paused job go on, in whatever worker there is; `stope resume` brings one.

    New limits take the place of those that it met.
    """
    start(_unpause(settings_with_logging(), job, max_usd, max_tokens))


async def _unpause(
    settings: Settings, job_id: str, max_usd: float | None, max_tokens: int | None
) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        await client.unpause(job.id, max_usd=max_usd, max_tokens=max_tokens)
    status(f"{job.id} goes on; {command_line('watch', job.id)} shows it")
