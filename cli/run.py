"""``stope run``: the whole pipeline, waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import typer

from cli.console import INTERRUPTED, command_line, settings_with_logging, start, status
from cli.options import (
    AcceptCachedOption,
    AsJson,
    Asr,
    DeviceOption,
    DiarizeOption,
    FlagshipLlm,
    Fresh,
    KeepCheckpoint,
    Language,
    Llm,
    MaxTokens,
    MaxUsd,
    MaxWorkers,
    Paths,
    RunGuid,
    SelectionOption,
    Speakers,
    StrictResume,
    UploadTo,
    with_device,
)
from cli.work import begin_only, finish, say_where, work, worst
from client import JobClient
from stope.errors import UsageError
from stope.models.job import Job
from stope.settings import Settings
from stope.sources.location import shown


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
    max_usd: MaxUsd = None,
    max_tokens: MaxTokens = None,
    accept_cached: AcceptCachedOption = None,
    upload_to: UploadTo = None,
    device: DeviceOption = None,
    run_guid: RunGuid = None,
    strict_resume: StrictResume = None,
    keep_checkpoint: KeepCheckpoint = None,
    force: Fresh = False,
    as_json: AsJson = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Start the jobs for a running worker, and leave.")
    ] = False,
) -> None:
    """Transcribe recordings, mine their claims, judge them, and write a report.

    A text transcript (.txt, .md, .srt, .vtt, .json) starts at mining. Ctrl-C or a crash loses
    nothing: the same command goes on where it stood, from any machine that has the same artifacts.
    A finished job answers at once.

    At --max-usd or --max-tokens the run pauses; `stope resume JOB --max-usd MORE` lets it go on.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = with_device(settings_with_logging(), device)
    if run_guid is not None and len(paths) > 1:
        raise UsageError("--run-guid is of one run; give one path with it.")
    config: dict[str, object] = {
        "asr_model": asr,
        "language": language,
        "diarize": diarize,
        "speakers": speakers,
        "selection": selection,
        "miner_model": llm,
        "flagship_model": flagship_llm or llm,
        "accept_cached": accept_cached,
        "upload_to": upload_to,
    }

    async def create(client: JobClient, path: str) -> Job:
        job_id = await client.create_job(
            "pipeline",
            path,
            config,
            run_guid=run_guid,
            strict_resume=strict_resume,
            keep_checkpoint=keep_checkpoint,
        )
        return await client.job(job_id)

    async def begin(client: JobClient, job: Job) -> Job:
        return await client.start_job(
            job.id,
            resume_from_checkpoint=not force,
            max_workers=max_workers,
            max_usd=max_usd,
            max_tokens=max_tokens,
        )

    code = start(_run(settings, paths, create, begin, force, as_json, no_wait))
    if code:
        raise typer.Exit(code)


async def _run(
    settings: Settings,
    paths: list[str],
    create: Callable[[JobClient, str], Awaitable[Job]],
    begin: Callable[[JobClient, Job], Awaitable[Job]],
    force: bool,
    as_json: bool,
    no_wait: bool,
) -> int:
    async with JobClient(settings) as client:
        jobs = [await create(client, path) for path in paths]
        open_jobs = [job for job in jobs if force or not job.status.has_result]
        if no_wait:
            return await begin_only(client, settings, jobs, partial(begin, client), as_json)
        if open_jobs and await work(client, settings, open_jobs, partial(begin, client)):
            guid = jobs[0].config.run_guid
            named = ["--run-guid", guid] if guid else []
            left = [path for path, job in zip(paths, jobs, strict=True) if job in open_jobs]
            status(
                "interrupted; nothing finished is lost. Go on with: "
                + command_line("run", *map(shown, left), *named)
            )
            return INTERRUPTED
        codes = [await finish(client, job.id, as_json) for job in jobs]
        if not as_json:
            say_where(settings, jobs)
        return worst(codes)
