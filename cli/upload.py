"""``stope upload``: what a finished job knows, published somewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import settings_with_logging, start
from cli.options import AsJson, Detach, JobArgument
from cli.work import do
from client import JobClient
from stope.models.job import Job
from stope.settings import Settings
from stope.upload.places import place_url


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upload")(upload)


def upload(
    job: JobArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="PLACE",
            help="A folder; s3://bucket/prefix or gs://bucket/prefix; "
            "postgresql://user@host/database?schema=stope; or https://host/path.",
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Put everything again, whatever was said of it before.")
    ] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Publish what a finished job knows: claims, evidence, names, ideas, transcript, exports.

    Every item is sent whole, read back and compared. Ctrl-C or a crash loses nothing: the same
    command goes on where it stood, and sends nothing that is there already. The names that you
    gave to speakers (`stope speakers`) are in it.

    A folder or a bucket gets files, JSON lines for each kind of record and all exports. A
    PostgreSQL database gets a row for each record, in tables that are made if they are missing. An
    HTTP endpoint gets signed batches of JSON and answers for each item. No secret belongs into
    PLACE, which everybody can see: the worker takes STOPE_UPLOAD_HMAC_KEY (https),
    STOPE_UPLOAD_PASSWORD or PGPASSWORD (postgresql; off this machine only for the hosts in
    STOPE_UPLOAD_HOSTS) or ~/.pgpass, and a cloud's usual variables from its environment.

    Exit codes: 0 complete, 1 failed, 2 usage, 3 complete with gaps, 4 paused, 130 interrupted.
    """
    settings = settings_with_logging()
    code = start(_upload(settings, job, place_url(to), force, detach, as_json))
    if code:
        raise typer.Exit(code)


async def _upload(
    settings: Settings, job_id: str, place: str, force: bool, detach: bool, as_json: bool
) -> int:
    async with JobClient(settings) as client:

        async def begin(upload: Job) -> Job:
            return await client.start_upload(upload.id, resume_from_checkpoint=not force)

        upload = await client.create_upload((await client.job(job_id)).id, place)
        return await do(
            client, settings, [upload], begin, as_json=as_json, detach=detach, again=True
        )
