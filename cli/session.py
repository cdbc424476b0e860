"""A server and a worker for the time of a command, when nobody else provides them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from filelock import FileLock, Timeout

from cli.console import status
from client import connect_temporal
from stope.dev_server import DevServer, ServerInfo
from stope.settings import Settings

log = logging.getLogger(__name__)

_WATCH_SECONDS = 1.0


@asynccontextmanager
async def working_session(
    settings: Settings, stop: asyncio.Event
) -> AsyncIterator[ServerInfo | None]:
    """A Temporal server that is kept up, and a worker for it.

    With ``TEMPORAL_ADDRESS`` both are somebody else's business. On the embedded server one process
    per home does the work (two would load every model twice): whoever holds the home's worker
    lock. It is let go by the system when that process dies, however it dies, and the next one in
    line takes over.
    """
    if settings.temporal_address is not None:
        yield None
        return
    server = DevServer(settings)
    before = await asyncio.to_thread(server.running)
    info = await asyncio.to_thread(server.ensure)
    wanted = settings.temporal_port
    if before is None and wanted and not info.address.endswith(f":{wanted}"):
        status(
            f"port {wanted} is in use, or was last time: the embedded Temporal server listens on "
            f"{info.address}"
        )
    leave = asyncio.Event()
    work = asyncio.create_task(_work_in_turn(settings, leave))
    # A worker that cannot start or breaks ends the wait; its error comes out below.
    work.add_done_callback(lambda task: stop.set() if _error_of(task) else None)
    helpers = [
        asyncio.create_task(_keep_up(server)),
        asyncio.create_task(_forward(stop, leave)),
    ]
    try:
        yield info
    finally:
        leave.set()
        if stop.is_set() and not work.done():
            status("finishing the units in flight; Ctrl-C again leaves at once")
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(work, *helpers, return_exceptions=True)
    if error := _error_of(work):
        raise error


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


async def _forward(stop: asyncio.Event, leave: asyncio.Event) -> None:
    await stop.wait()
    leave.set()


async def _keep_up(server: DevServer) -> None:
    """Start the server again when it dies: its state is in its file."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if await asyncio.to_thread(server.running) is None:
            status("the Temporal server is gone; starting it again")
            try:
                await asyncio.to_thread(server.ensure)
            except Exception:
                log.exception("the Temporal server could not be started again")


async def _work_in_turn(settings: Settings, leave: asyncio.Event) -> None:
    """Be the home's worker as soon as no other process is."""
    # Imported here: a cached answer does not need the worker's libraries.
    from worker import run_worker

    lock = FileLock(settings.home / "worker.lock")
    while not leave.is_set():
        try:
            lock.acquire(timeout=0)
        except Timeout:
            try:
                await asyncio.wait_for(leave.wait(), _WATCH_SECONDS)
            except TimeoutError:
                continue
            return
        try:
            await run_worker(settings, await connect_temporal(settings), leave)
        finally:
            lock.release()
        return
