"""``stope jobs``, ``stope status`` and ``stope watch``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.console import FAILED, job_json, out, print_json, settings_with_logging, start, status
from cli.options import AsJson, JobArgument
from cli.progress import describe, progress_view, together
from cli.standing import bill_of, bill_words, gap_line, gaps_of, standing
from client import JobClient
from stope.errors import ServerUnavailableError
from stope.models.job import Job, JobRun, JsonObject
from stope.models.view import JobView
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
        views = await client.views(found)
        bills = {job.id: bill_of(await client.runs(job.id)) for job in found}
    if as_json:
        print_json(
            [
                job_json(
                    job,
                    input=job.input.path,
                    standing=standing(job, views.get(job.id)),
                    gaps=len(gaps_of(job)),
                    cost_usd=bills[job.id].cost_usd,
                    calls_unpriced=bills[job.id].unpriced,
                )
                for job in found
            ]
        )
        return
    table = Table(box=None, pad_edge=False)
    for title in ("job", "state", "cost", "created", "input"):
        table.add_column(title, no_wrap=title != "input", overflow="ellipsis")
    for job in found:
        created = job.created_at.astimezone().strftime("%m-%d %H:%M")
        table.add_row(
            job.id,
            Text(standing(job, views.get(job.id))),
            bill_words(bills[job.id]),
            created,
            Text(Path(job.input.path).name),
        )
    out.print(table)
    if any(not job.status.finished and job.id not in views for job in found):
        status("no Temporal server answers: what is open goes on when one runs (`stope up`)")


def status_command(job: JobArgument, as_json: AsJson = False) -> None:
    """Show where a job stands: its attempts and, while it runs, its stages."""
    start(_status(settings_with_logging(), job, as_json))


async def _status(settings: Settings, job_id: str, as_json: bool) -> None:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        runs = await client.runs(job.id)
        view: JobView | None = None
        note: str | None = None
        try:
            view = await client.view(job.id)
        except ServerUnavailableError as error:
            # The records still say what was finished; only what runs now cannot be seen.
            note = str(error)
    if as_json:
        print_json(_status_json(job, runs, view) | ({"note": note} if note else {}))
        return
    out.print(f"{job.id}  {standing(job, view)}  {job.input.path}", markup=False)
    for run in runs:
        out.print(f"  {_describe_run(run)}", markup=False)
    for stage in view.stages if view else ():
        out.print(f"  {stage.stage}: {describe(stage)}", markup=False)
    whole = together(view) if view else None
    for gap in gaps_of(job):
        out.print(f"  {gap_line(gap)}", markup=False)
    for line in (whole, view.waiting if view else None, note):
        if line:
            out.print(f"  {line}", markup=False)


def _status_json(job: Job, runs: Sequence[JobRun], view: JobView | None) -> JsonObject:
    left = view.time_left if view else None
    return job_json(
        job,
        input=job.input.path,
        standing=standing(job, view),
        waiting=view.waiting if view else None,
        seconds_left=left.model_dump(mode="json") if left else None,
        runs=[run.model_dump(mode="json", exclude={"checkpoint"}) for run in runs],
        stages=[stage.model_dump(mode="json") for stage in view.stages] if view else [],
    )


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
    if "llm_calls" in metrics:
        facts.append(bill_of([run]).words)
    return f"{text}, {', '.join(facts)}" if facts else text


def watch(job: JobArgument) -> None:
    """Follow a job until it has finished. Ctrl-C stops the watching, not the job."""
    code = start(_watch(settings_with_logging(), job))
    if code:
        raise typer.Exit(code)


async def _watch(settings: Settings, job_id: str) -> int:
    async with JobClient(settings) as client:
        job = await client.job(job_id)
        view: JobView | None = None
        with progress_view() as progress:
            async for view in client.watch(job.id):
                progress.show(view)
        final = await client.job(job.id)
        runs = await client.runs(job.id)
    out.print(f"{final.id}  {standing(final, view)}", markup=False)
    if not final.status.has_result and runs and runs[-1].error_message:
        out.print(runs[-1].error_message, markup=False)
    return 0 if final.status.has_result else FAILED
