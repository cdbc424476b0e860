"""``stope redo``: make a job afresh, from one of its stages on."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import settings_with_logging, start
from cli.options import AsJson, Detach, JobArgument
from cli.work import do
from client import JobClient
from stope.models.job import Job, JobType
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("redo")(redo)


def redo(
    job: JobArgument,
    from_stage: Annotated[
        JobType | None,
        typer.Option("--from", help="Keep the stages before this one.", show_default=False),
    ] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Make a job afresh: nothing that was kept is read, and paid answers are paid for again.

    With --from, the stages of a pipeline before that one keep what they have.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    code = start(_redo(settings_with_logging(), job, from_stage, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _redo(
    settings: Settings, job_id: str, from_stage: JobType | None, detach: bool, as_json: bool
) -> int:
    async with JobClient(settings) as client:

        async def begin(job: Job) -> Job:
            return await client.redo(job.id, from_stage)

        # Says what is wrong with the call before a worker is started for it.
        job, _ = await client.must_have_stage(job_id, from_stage)
        return await do(client, settings, [job], begin, as_json=as_json, detach=detach, again=True)
