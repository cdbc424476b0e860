"""``stope jobs``, ``stope status`` and ``stope watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import FAILED, job_json, out, print_json, settings_with_logging, start
from cli.options import AsJson, JobArgument
from cli.progress import describe, progress_view
from client import JobClient
from stope.errors import ServerUnavailableError
from stope.models.job import JobRun
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("jobs")(jobs)
    app.command("status")(status_command)
    app.command("watch")(watch)


def jobs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List jobs and their state."""
    start(_jobs(settings_with_logging(), limit, as_json))


async def _jobs(settings: Settings, limit: int, as_json: bool) -> None:
    async with JobClient(settings) as client:
        found = await client.jobs(limit)
    if as_json:
        print_json([job_json(job, input=job.input.path) for job in found])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("job", "status", "created", "input"):
        table.add_column(title, no_wrap=title != "input", overflow="ellipsis")
    for job in found:
        created = job.created_at.astimezone().strftime("%m-%d %H:%M")
        table.add_row(job.id, job.status.value, created, Path(job.input.path).name)
    out.print(table)


def status_command(job: JobArgument, as_json: AsJson = False) -> None:
    """Show where a job stands: its attempts and, while it runs, its stages."""
    start(_status(settings_with_logging(), job, as_json))


async def _status(settings: Settings, job_id: str, as_json: bool) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        runs = await client.runs(job.id)
        note: str | None = None
        stages = []
        try:
            stages = list((await client.view(job.id)).stages)
        except ServerUnavailableError as error:
            # The records still say what was finished; only what runs now cannot be seen.
            note = str(error)
    if as_json:
        print_json(
            job_json(
                job,
                input=job.input.path,
                runs=[run.model_dump(mode="json", exclude={"checkpoint"}) for run in runs],
                stages=[stage.model_dump(mode="json") for stage in stages],
            )
            | ({"note": note} if note else {})
        )
        return
    out.print(f"{job.id}  {job.status.value}  {job.input.path}", markup=False)
    for run in runs:
        out.print(f"  {_describe_run(run)}", markup=False)
    for stage in stages:
        out.print(f"  {stage.stage.value}: {describe(stage)}", markup=False)
    if note:
        out.print(f"  {note}", markup=False)


def _describe_run(run: JobRun) -> str:
    text = f"attempt {run.attempt}: {run.status.value}"
    if run.error_message:
        text += f" ({run.error_code}): {run.error_message}"
    metrics = run.metrics or {}
    facts = [
        f"{metrics[name]} {name.replace('_', ' ')}"
        for name in ("units_done", "units_reused", "llm_calls", "wall_seconds")
        if name in metrics
    ]
    return f"{text}, {', '.join(facts)}" if facts else text


def watch(job: JobArgument) -> None:
    """Follow a job until it has finished. Ctrl-C stops the watching, not the job."""
    code = start(_watch(settings_with_logging(), job))
    if code:
        raise typer.Exit(code)


async def _watch(settings: Settings, job_id: str) -> int:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        with progress_view() as progress:
            async for view in client.watch(job.id):
                progress.show(view)
        final = await client.job(job.id)
        runs = await client.runs(job.id)
    out.print(f"{final.id}  {final.status.value}", markup=False)
    if not final.status.has_result and runs and runs[-1].error_message:
        out.print(runs[-1].error_message, markup=False)
    return 0 if final.status.has_result else FAILED
