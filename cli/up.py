"""``stope up`` and ``stope down``: the embedded server with a worker, and its end."""

from __future__ import annotations

import asyncio

import typer

from cli.console import settings_with_logging, start, status
from cli.options import DeviceOption, with_device
from cli.session import working_session
from stope.dev_server import DevServer
from stope.errors import UsageError
from stope.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)


def up(device: DeviceOption = None) -> None:
    """Run the embedded Temporal server, its Web UI and a worker, in the foreground.

    Ctrl-C drains the worker, ends the server and leaves every job resumable.
    """
    settings = with_device(settings_with_logging(), device)
    if settings.temporal_address is not None:
        raise UsageError(
            f"TEMPORAL_ADDRESS is {settings.temporal_address}: that server is not ours to start. "
            "Use `stope worker`, or unset it."
        )
    start(_up(settings))


async def _up(settings: Settings) -> None:
    from worker import stop_on_signals

    stop = asyncio.Event()
    stop_on_signals(stop)
    async with working_session(settings, stop) as server:
        if server is not None:
            status(f"Temporal at {server.address}, Web UI {server.ui_url}; Ctrl-C ends it")
        await stop.wait()
    await asyncio.to_thread(DevServer(settings).stop)
    status("stopped; every job goes on where it stood")


def down() -> None:
    """End the embedded Temporal server of this home. Jobs stay and go on at the next run."""
    settings = settings_with_logging()
    if DevServer(settings).stop():
        status("the Temporal server is stopped")
    else:
        status(f"no Temporal server runs for {settings.home}")
