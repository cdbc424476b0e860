"""``stope submit``: start one job without waiting."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.console import command_line, job_json, print_json, settings_with_logging, start, status
from cli.options import (
    AsJson,
    Asr,
    DiarizeOption,
    FlagshipLlm,
    Language,
    Llm,
    MaxWorkers,
    SelectionOption,
    Speakers,
)
from client import JobClient
from stope.dev_server import DevServer
from stope.models.job import JobType
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit")(submit)


def submit(
    job_type: Annotated[JobType, typer.Argument(metavar="TYPE", help="What to do.")],
    input_id: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="A file, or the job whose result is the input."),
    ],
    llm: Llm = None,
    flagship_llm: FlagshipLlm = None,
    asr: Asr = None,
    language: Language = None,
    diarize: DiarizeOption = None,
    speakers: Speakers = None,
    selection: SelectionOption = None,
    max_workers: MaxWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Start a job of one type (transcribe, mine, flagship or pipeline) and print its id.

    A worker does it: `stope up` runs one.
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
    }
    start(_submit(settings, job_type, input_id, config, max_workers, as_json))


async def _submit(
    settings: Settings,
    job_type: JobType,
    input_id: str,
    config: dict[str, object],
    max_workers: int | None,
    as_json: bool,
) -> None:
    async with JobClient(settings) as client:
        job_id = await client.create_job(job_type, input_id, config)
        if settings.temporal_address is None:
            await asyncio.to_thread(DevServer(settings).ensure)
        job = await client.start_job(job_id, max_workers=max_workers)
    if as_json:
        print_json(job_json(job))
    else:
        typer.echo(job.id)
    if not job.status.finished:
        status(f"{command_line('watch', job.id)} shows it; {command_line('up')} works on it")
