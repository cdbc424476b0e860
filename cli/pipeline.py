"""``stope pipeline``: any step pipeline, by its name."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cli.console import settings_with_logging, start
from cli.options import AsJson, Detach, Fresh, KeepCheckpoint, MaxWorkers, RunGuid, StrictResume
from cli.work import do
from client import JobClient
from stope.errors import UsageError
from stope.models.job import Job
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pipeline")(pipeline)


def pipeline(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the pipeline.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE…]", help="Paths or URLs; only ever read.", show_default=False
        ),
    ] = None,
    config: Annotated[
        str, typer.Option("--config", metavar="JSON", help="What differs from its defaults.")
    ] = "{}",
    run_guid: RunGuid = None,
    strict_resume: StrictResume = None,
    keep_checkpoint: KeepCheckpoint = None,
    fresh: Fresh = False,
    max_workers: MaxWorkers = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Run a step pipeline of your own; STOPE_PIPELINES names the modules that have them.

    The same command again finds the same run, from any machine that has the same artifacts, and
    goes on with the step that was not finished.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = settings_with_logging()
    try:
        given = json.loads(config)
    except ValueError as error:
        raise UsageError(f"--config is no JSON: {error}.") from error
    if not isinstance(given, dict):
        raise UsageError('--config is a JSON object, such as {"width": 8}.')

    async def run(settings: Settings) -> int:
        async with JobClient(settings) as client:
            job_id = await client.create_pipeline(
                name,
                inputs or [],
                given,
                run_guid=run_guid,
                strict_resume=strict_resume,
                keep_checkpoint=keep_checkpoint,
                max_workers=max_workers,
            )

            async def begin(job: Job) -> Job:
                return await client.start_job(job.id, resume_from_checkpoint=not fresh)

            job = await client.job(job_id)
            return await do(
                client, settings, [job], begin, as_json=as_json, detach=detach, again=fresh
            )

    code = start(run(settings))
    if code:
        raise typer.Exit(code)
