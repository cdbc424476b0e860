"""``stope retry``: try again what failed."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import settings_with_logging, start
from cli.options import AsJson, Detach, JobArgument, MaxTokens, MaxUsd
from cli.work import do
from client import JobClient
from stope.models.job import Job, JobStatus
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("retry")(retry)


def retry(
    job: JobArgument,
    gaps: Annotated[
        bool, typer.Option("--gaps", help="Of a result with gaps: do only these again.")
    ] = False,
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Try again what failed: a whole job, or with --gaps only the gaps that it left.

    What was finished is not done again. A result with gaps stands until there is a better one;
    where it gets better, the stages after it follow, and reuse what did not change.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = settings_with_logging()
    code = start(_retry(settings, job, gaps, max_usd, max_tokens, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _retry(
    settings: Settings,
    job_id: str,
    gaps: bool,
    max_usd: float | None,
    max_tokens: int | None,
    detach: bool,
    as_json: bool,
) -> int:
    async with JobClient(settings) as client:

        async def begin(job: Job) -> Job:
            return await client.retry(job.id, gaps=gaps, max_usd=max_usd, max_tokens=max_tokens)

        # Says what is wrong with the call before a worker is started for it.
        job = await client.must_be_retryable(job_id, gaps=gaps)
        has_gaps = job.status is JobStatus.SUCCEEDED_WITH_GAPS
        again = has_gaps or await client.is_cut_short(job.id)
        return await do(client, settings, [job], begin, as_json=as_json, detach=detach, again=again)
