"""Jobs worked on by a command: a worker session, progress, a summary, an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import typer

from cli.console import (
    FAILED,
    INTERRUPTED,
    PAUSED,
    WITH_GAPS,
    command_line,
    job_json,
    print_json,
    status,
)
from cli.models import fetch_missing
from cli.progress import progress_view
from cli.published import print_published
from cli.session import working_session
from cli.steps import print_notices, print_steps
from cli.summary import print_summary
from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import Job, JobStatus, JobType, newest_begun
from stope.settings import Settings

Begin = Callable[[Job], Awaitable[Job]]
"""Starts a job, in whatever way the command means it."""


async def begin_only(
    client: JobClient, settings: Settings, jobs: Sequence[Job], begin: Begin, as_json: bool
) -> int:
    """Start jobs for somebody else's worker and say which; returns the exit code."""
    if settings.temporal_address is None:
        await asyncio.to_thread(DevServer(settings).ensure)
    waiting: list[Job] = []
    for job in jobs:
        started = await begin(job)
        if started.status is JobStatus.PAUSED:
            waiting.append(started)
        elif as_json:
            print_json(job_json(started))
        else:
            typer.echo(started.id)
    if waiting:
        return worst([await finish(client, job.id, as_json) for job in waiting])
    status(
        f"started; a worker takes them on: {command_line('up')} is one, and "
        f"{command_line('watch', jobs[0].id)} shows them"
    )
    return 0


async def work(client: JobClient, settings: Settings, jobs: Sequence[Job], begin: Begin) -> bool:
    """Start jobs, with a worker where nobody else is one, and show them until they end or wait.

    Returns whether somebody interrupted.
    """
    # Imported here: a cached answer does not need the worker's libraries.
    from worker import stop_on_signals

    if settings.temporal_address is None:
        await asyncio.to_thread(fetch_missing, settings, list(jobs))
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with working_session(settings, stop) as server:
        if server is not None:
            status(f"Temporal at {server.address}, Web UI {server.ui_url}")
        for job in jobs:
            await begin(job)
        for job in jobs:
            if stop.is_set():
                break
            if len(jobs) > 1:
                status(f"{job.input.path} ({job.id})")
            await _watch(client, job.id, stop)
    return stop.is_set()


async def _watch(client: JobClient, job_id: str, stop: asyncio.Event) -> None:
    async def show() -> None:
        with progress_view() as progress:
            async for view in client.watch(job_id):
                progress.show(view)
                if view.status is JobStatus.PAUSED:
                    return

    showing = asyncio.create_task(show())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (showing, stopping):
        task.cancel()
    for outcome in await asyncio.gather(showing, stopping, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def finish(client: JobClient, job_id: str, as_json: bool) -> int:
    """Print how a job ended, or why it waits; returns its exit code."""
    job = await client.job(job_id)
    run = newest_begun(await client.runs(job.id))
    message = (run.error_message if run else None) or f"The job {job.id} is {job.status.value}."
    if job.status is JobStatus.PAUSED:
        # A limit is met by name: the same call again would only meet it again.
        limit = [f"--max-{noun}" for noun in ("usd", "tokens") if f"--max-{noun} N" in message]
        way_on = command_line("resume", job.id, *limit, *("N" for _ in limit))
        if not as_json:
            message = f"The job {job.id} is paused. {message}"
        return _say(job, message, f"go on with: {way_on}", as_json, PAUSED)
    if run is None or not run.status.has_result:
        # It may have the result of an earlier run, which stands.
        kept = "the progress is kept; go on with: "
        return _say(job, message, kept + command_line("resume", job.id), as_json, FAILED)
    if job.type is JobType.UPLOAD:
        if as_json:
            print_json(job_json(job, metrics=run.metrics))
        else:
            print_published(job, run)
    elif job.type is JobType.STEPS:
        if as_json:
            print_json(job_json(job, metrics=run.metrics))
        else:
            print_steps(job, run)
    else:
        document = await client.document(job_id)
        paths = await client.export(job_id, client.settings.exports / job_id)
        if as_json:
            print_json(job_json(job, exports=[str(path) for path in paths]))
        else:
            print_summary(document, paths)
            print_notices(run)
            print_published(job, run)
    return WITH_GAPS if job.status is JobStatus.SUCCEEDED_WITH_GAPS else 0


def _say(job: Job, message: str, way_on: str, as_json: bool, code: int) -> int:
    if as_json:
        print_json(job_json(job, error=message))
    status(f"stope: {message}")
    status(way_on)
    return code


async def do(
    client: JobClient,
    settings: Settings,
    jobs: Sequence[Job],
    begin: Begin,
    *,
    as_json: bool,
    detach: bool = False,
    again: bool = False,
) -> int:
    """Start jobs and see them to their ends; returns the exit code of the worst one.

    One that has its result answers from it, unless it is to be done ``again``.
    """
    if detach:
        return await begin_only(client, settings, jobs, begin, as_json)
    to_do = [job for job in jobs if again or not job.status.has_result]
    if to_do and await work(client, settings, to_do, begin):
        ways_on = "; ".join(command_line("resume", job.id) for job in to_do)
        status(f"interrupted; nothing finished is lost. Go on with: {ways_on}")
        return INTERRUPTED
    return worst([await finish(client, job.id, as_json) for job in jobs])


def worst(codes: Sequence[int]) -> int:
    """The exit code of several jobs: a failure before a pause before gaps."""
    return FAILED if FAILED in codes else max(codes, default=0)


def say_where(settings: Settings, jobs: Sequence[Job]) -> None:
    """Where the pages of jobs are in the Web UI."""
    if settings.temporal_address is not None:
        return
    server = DevServer(settings).running()
    if server is None:
        status(f"the Web UI is off; {command_line('up')} starts it")
        return
    for job in jobs:
        status(f"  {server.ui_url}/namespaces/default/workflows/{job.id}")
    status(f"the server stays for the next run; {command_line('down')} ends it")
