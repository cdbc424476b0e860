"""``stope run``: the whole pipeline, waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.console import (
    FAILED,
    INTERRUPTED,
    WITH_GAPS,
    command_line,
    job_json,
    print_json,
    settings_with_logging,
    start,
    status,
)
from cli.models import fetch_missing
from cli.options import (
    AsJson,
    Asr,
    DeviceOption,
    DiarizeOption,
    FlagshipLlm,
    Language,
    Llm,
    MaxWorkers,
    Paths,
    SelectionOption,
    Speakers,
    with_device,
)
from cli.progress import progress_view
from cli.session import working_session
from cli.summary import print_summary
from client import JobClient, JobFailedError
from stope.dev_server import DevServer
from stope.models.job import Job, JobStatus
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    paths: Paths,
    llm: Llm = None,
    flagship_llm: FlagshipLlm = None,
    asr: Asr = None,
    language: Language = None,
    diarize: DiarizeOption = None,
    speakers: Speakers = None,
    selection: SelectionOption = None,
    max_workers: MaxWorkers = None,
    device: DeviceOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do everything anew; read nothing that was kept.")
    ] = False,
    as_json: AsJson = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Start the jobs for a running worker, and leave.")
    ] = False,
) -> None:
    """Transcribe recordings, mine their claims, judge them, and write a report.

    A text transcript (.txt, .md, .srt, .vtt, .json) starts at mining. Ctrl-C or a crash loses
    nothing: the same command goes on where it stood. A finished job answers at once.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 130 interrupted.
    """
    settings = with_device(settings_with_logging(), device)
    config: dict[str, object] = {
        "asr_model": asr,
        "language": language,
        "diarize": diarize,
        "speakers": speakers,
        "selection": selection,
        "miner_model": llm,
        "flagship_model": flagship_llm or llm,
    }
    code = start(_run(settings, paths, config, max_workers, force, as_json, no_wait))
    if code:
        raise typer.Exit(code)


async def _run(
    settings: Settings,
    paths: list[Path],
    config: dict[str, object],
    max_workers: int | None,
    force: bool,
    as_json: bool,
    no_wait: bool,
) -> int:
    async with JobClient(settings) as client:
        jobs = [
            await client.job(await client.create_job("pipeline", path, config)) for path in paths
        ]
        open_jobs = [job for job in jobs if force or not job.status.has_result]
        if no_wait:
            return await _submit(client, settings, jobs, force, max_workers, as_json)
        interrupted = False
        if open_jobs:
            interrupted = await _work(client, settings, open_jobs, force, max_workers)
        if interrupted:
            left = [path for path, job in zip(paths, jobs, strict=True) if job in open_jobs]
            status(
                "interrupted; nothing finished is lost. Go on with: "
                + command_line("run", *map(str, left))
            )
            return INTERRUPTED
        codes = [await _finish(client, job.id, as_json) for job in jobs]
        if not as_json and settings.temporal_address is None:
            _say_where(settings, jobs)
        return FAILED if FAILED in codes else max(codes, default=0)


async def _submit(
    client: JobClient,
    settings: Settings,
    jobs: list[Job],
    force: bool,
    max_workers: int | None,
    as_json: bool,
) -> int:
    if settings.temporal_address is None:
        await asyncio.to_thread(DevServer(settings).ensure)
    for job in jobs:
        started = await client.start_job(
            job.id, resume_from_checkpoint=not force, max_workers=max_workers
        )
        if as_json:
            print_json(job_json(started))
        else:
            typer.echo(started.id)
    status(
        f"started; a worker takes them on: {command_line('up')} is one, and "
        f"{command_line('watch', jobs[0].id)} shows them"
    )
    return 0


async def _work(
    client: JobClient,
    settings: Settings,
    jobs: list[Job],
    force: bool,
    max_workers: int | None,
) -> bool:
    """Start the jobs and wait for them. Returns whether somebody interrupted."""
    # Imported here: a cached answer does not need the worker's libraries.
    from worker import stop_on_signals

    if settings.temporal_address is None:
        await asyncio.to_thread(fetch_missing, settings, jobs)
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with working_session(settings, stop) as server:
        if server is not None:
            status(f"Temporal at {server.address}, Web UI {server.ui_url}")
        for job in jobs:
            await client.start_job(
                job.id, resume_from_checkpoint=not force, max_workers=max_workers
            )
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

    showing = asyncio.create_task(show())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (showing, stopping):
        task.cancel()
    for outcome in await asyncio.gather(showing, stopping, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def _finish(client: JobClient, job_id: str, as_json: bool) -> int:
    """Print a finished job's result; returns its exit code."""
    job = await client.job(job_id)
    try:
        await client.result(job_id)
    except JobFailedError as error:
        if as_json:
            print_json(job_json(job, error=str(error)))
        status(f"stope: {error}")
        status(f"the progress is kept; go on with: {command_line('run', job.input.path)}")
        return FAILED
    document = await client.document(job_id)
    paths = await client.export(job_id, client.settings.exports / job_id)
    if as_json:
        print_json(job_json(job, exports=[str(path) for path in paths]))
    else:
        print_summary(document, paths)
    return WITH_GAPS if job.status is JobStatus.SUCCEEDED_WITH_GAPS else 0


def _say_where(settings: Settings, jobs: list[Job]) -> None:
    server = DevServer(settings).running()
    if server is None:
        status(f"the Web UI is off; {command_line('up')} starts it")
        return
    for job in jobs:
        status(f"  {server.ui_url}/namespaces/default/workflows/{job.id}")
    status(f"the server stays for the next run; {command_line('down')} ends it")
