"""``stope fork``: a job like another one, with other settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import typer

from cli.console import settings_with_logging, start, status
from cli.options import AcceptCachedOption, AsJson, Detach, JobArgument, MaxTokens, MaxUsd, UploadTo
from cli.work import do
from client import JobClient
from stope.models.job import Job
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fork")(fork)


def fork(
    job: JobArgument,
    llm: Annotated[
        str | None,
        typer.Option("--llm", help="Another language model for all of it.", show_default=False),
    ] = None,
    miner: Annotated[
        str | None, typer.Option("--miner", help="Another one for mining.", show_default=False)
    ] = None,
    flagship: Annotated[
        str | None,
        typer.Option("--flagship", help="Another one for the verdicts.", show_default=False),
    ] = None,
    accept_cached: AcceptCachedOption = None,
    upload_to: UploadTo = None,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Do a job again with other settings, as a job of its own: it pays only for what they change.

    The transcript and its segments are shared; with --flagship alone, so are the mined claims.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    config = {
        "miner_model": miner or llm,
        "flagship_model": flagship or llm,
        "accept_cached": accept_cached,
        "upload_to": upload_to,
    }
    given: dict[str, object] = {name: value for name, value in config.items() if value is not None}

    async def begin(client: JobClient, job: Job) -> Job:
        return await client.start_job(job.id, max_usd=max_usd, max_tokens=max_tokens)

    code = start(_fork(settings_with_logging(), job, given, begin, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _fork(
    settings: Settings,
    job_id: str,
    config: dict[str, object],
    begin: Callable[[JobClient, Job], Awaitable[Job]],
    detach: bool,
    as_json: bool,
) -> int:
    async with JobClient(settings) as client:
        source = await client.job(job_id)
        forked = await client.job(await client.fork(source.id, **config))
        status(f"{forked.id} is a fork of {source.id}")
        return await do(
            client, settings, [forked], partial(begin, client), as_json=as_json, detach=detach
        )
