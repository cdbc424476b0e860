"""The example's receiver on a port of its own, which counts, refuses, stalls, cuts and forgets."""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from examples.receiver import Receiver, Reply, handler_of

KEY = "a key that nobody guesses"


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON of the receiver: as it is to be sent.

    ``cut`` sends the head, and half of the body, and hangs up.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Judge = Callable[[dict[str, Any]], dict[str, Any] | None]
"""What a receiver says to an item in place of keeping it; None: it keeps it."""


class ScriptedReceiver(Receiver):
    """Does as told first: ``script`` answers whole requests, ``judge`` single items.

    ``poison`` is what a delivery cannot have in it: all of it is answered with 500.

    ``sent`` counts how often each idempotency key came in a delivery that was signed well;
    ``signed`` and ``unsigned`` count requests; ``asks`` are questions for digests.
    """

    def __init__(self, url: str) -> None:
        super().__init__(KEY, url)
        self.sent: Counter[str] = Counter()
        self.keys: dict[str, str] = {}
        """The idempotency key of each item's newest delivery."""
        self.bodies: list[dict[str, Any]] = []
        self.poisoned: list[int] = []
        """How many items there were in each delivery that had the poison in it."""
        self.signed = self.unsigned = self.asks = 0
        self.script: list[Raw | None] = []
        self.judge: Judge = lambda _item: None
        self.askable = True
        self.poison: str | None = None
        self._gate = threading.Condition()
        self._hold_after: int | None = None
        self._arrivals = threading.Lock()

    def hold(self, after: int) -> None:
        """Answer no delivery after so many more."""
        with self._gate:
            self._hold_after = len(self.bodies) + after

    def release(self) -> None:
        """Answer all that is held back, and whatever comes."""
        with self._gate:
            self._hold_after = None
            self._gate.notify_all()

    def forget(self, item_id: str) -> None:
        """Lose an item."""
        with self._lock:
            self._database.execute("DELETE FROM item WHERE id = ?", [item_id])

    def edit(self, item_id: str, content: bytes) -> None:
        """Have other bytes under an id."""
        with self._lock:
            self._database.execute("UPDATE item SET content = ? WHERE id = ?", [content, item_id])

    @property
    def kept(self) -> dict[str, bytes]:
        """Everything it has."""
        with self._lock:
            return dict(self._database.execute("SELECT id, content FROM item"))

    def raw_answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Raw:
        with self._arrivals:
            told = self.script.pop(0) if self.script else None
        if told is not None:
            return told
        if self.poison is not None and not path.endswith("/digests") and self.poison in str(body):
            self.poisoned.append(len(json.loads(body)["items"]))
            return Raw(500, b"out of order")
        status, answer = self.answer(path, headers, body)
        return Raw(status, json.dumps(answer).encode())

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        signed = self._is_signed(self.url + path.removeprefix("/stope"), headers, body)
        with self._arrivals:
            self.signed += signed
            self.unsigned += not signed
        if path.endswith("/digests"):
            self.asks += 1
            return super().answer(path, headers, body) if self.askable else (404, {})
        if not signed:
            return super().answer(path, headers, body)
        asked = json.loads(body)
        self._count(asked)
        judged = {item["id"]: self.judge(item) for item in asked["items"]}
        left = [item for item in asked["items"] if judged[item["id"]] is None]
        kept = self._take_all(left, int(headers["Stope-Timestamp"]))
        refused = [{"id": name, **said} for name, said in judged.items() if said is not None]
        return 207, {"items": [*refused, *kept]}

    def _count(self, asked: dict[str, Any]) -> None:
        with self._gate:
            for item in asked["items"]:
                self.sent[item["idempotency_key"]] += 1
                self.keys[item["id"]] = item["idempotency_key"]
            self.bodies.append(asked)
            place = len(self.bodies)
            while self._hold_after is not None and place > self._hold_after:
                self._gate.wait()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nothing to the terminal: who was killed, or sees no certificate it knows, hangs up."""


@contextmanager
def receiving(certificate: Path | None = None) -> Iterator[ScriptedReceiver]:
    """A receiver for the time of a ``with``; with a certificate (and its key) it speaks TLS."""
    server = _Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    scheme = "http" if certificate is None else "https"
    receiver = ScriptedReceiver(f"{scheme}://127.0.0.1:{server.server_port}/stope")
    server.RequestHandlerClass = _raw_handler(receiver)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release()
        server.shutdown()
        server.server_close()


def _raw_handler(receiver: ScriptedReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(handler_of(receiver)):  # type: ignore[misc]  # a class made by a function
        def do_POST(self) -> None:  # noqa: N802  (the server looks for this name)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = receiver.raw_answer(self.path, self.headers, body)
            # Whoever asked may have been killed meanwhile.
            with suppress(ConnectionError):
                self._send(told)

        def _send(self, told: Raw) -> None:
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body[: len(told.body) // 2] if told.cut else told.body)
            self.close_connection = told.cut

        def log_message(self, *_: object) -> None:
            """Nothing to the terminal."""

    return Handler
