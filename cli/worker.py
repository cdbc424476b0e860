"""``stope worker``: a worker only."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.console import settings_with_logging, start, status
from cli.options import DeviceOption, with_device
from client import connect_temporal
from stope import names
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker(
    queues: Annotated[
        str, typer.Option("--queues", help="Which task queues to serve, with commas.")
    ] = ",".join(names.QUEUES),
    device: DeviceOption = None,
) -> None:
    """Work for the Temporal server at TEMPORAL_ADDRESS (else for this home's own).

    SIGTERM drains: units in flight are committed, then the worker leaves. Workers of one cluster
    share STOPE_DATABASE_URL and STOPE_ARTIFACTS_URL.
    """
    settings = with_device(settings_with_logging(), device)
    start(_worker(settings, tuple(name.strip() for name in queues.split(",") if name.strip())))


async def _worker(settings: Settings, queues: tuple[str, ...]) -> None:
    # Imported here: other commands do not need the worker's libraries.
    from worker import run_worker, stop_on_signals

    stop = asyncio.Event()
    stop_on_signals(stop)
    client = await connect_temporal(settings)
    await run_worker(
        settings,
        client,
        stop,
        queues=queues,
        started=lambda: status(f"polling {', '.join(queues)}; Ctrl-C drains"),
    )
    status("drained")
