"""``stope submit``: start one job without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from cli.console import command_line, job_json, print_json, settings_with_logging, start, status
from cli.options import (
    AcceptCachedOption,
    AsJson,
    Asr,
    DiarizeOption,
    FlagshipLlm,
    Language,
    Llm,
    MaxTokens,
    MaxUsd,
    MaxWorkers,
    SelectionOption,
    Speakers,
    UploadTo,
)
from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import Job, JobType
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit")(submit)


def submit(
    job_type: Annotated[JobType, typer.Argument(metavar="TYPE", help="What to do.")],
    input_id: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A file or URL, or the job whose result is the input."
        ),
    ],
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
    chain: Annotated[
        bool,
        typer.Option("--chain", help="With its result, start the next stage, and so to the last."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start a job of one type and print its id.

    Types: transcribe, mine, flagship, upload, pipeline. The input is a file or its s3://, gs:// or
    https:// URL, a finished job whose result is taken, or a stored document (its digest or its
    artifact's URI). A worker does it: `stope up` runs one.
    """
    settings = settings_with_logging()
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
        "max_workers": max_workers,
    }

    async def begin(client: JobClient, job_id: str) -> Job:
        return await client.start_job(
            job_id, max_usd=max_usd, max_tokens=max_tokens, chain=chain or None
        )

    start(_submit(settings, job_type, input_id, config, begin, as_json))


async def _submit(
    settings: Settings,
    job_type: JobType,
    input_id: str,
    config: dict[str, object],
    begin: Callable[[JobClient, str], Awaitable[Job]],
    as_json: bool,
) -> None:
    async with JobClient(settings) as client:
        if settings.temporal_address is None:
            await asyncio.to_thread(DevServer(settings).ensure)
        job_id = await client.create_job(job_type, input_id, config)
        job = await begin(client, job_id)
    if as_json:
        print_json(job_json(job))
    else:
        typer.echo(job.id)
    if not job.status.finished:
        status(f"{command_line('watch', job.id)} shows it; {command_line('up')} works on it")
