"""A scripted OpenAI-compatible server over real HTTP: every call is counted, and some go wrong.

A call is billed once its answer was made, whether or not anybody lived to read it. ``hold`` makes
the server keep answers back until ``release``; ``spoil`` makes coming calls go wrong.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from benchmarks.chaos.answers import completion, kind_of, schema_of
from benchmarks.chaos.journal import request_digest
from benchmarks.chaos.trouble import ERRORS, Trouble

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset."""


@dataclass
class Call:
    """One request as the server saw it; times are of ``time.monotonic``."""

    request: str
    """Names its content."""
    caller: str
    """The key it came with."""
    arrived: float
    billed: float | None = None
    """When its answer was made; None if it got none."""
    sent: float | None = None
    """When the last byte of the answer was handed to the system."""
    trouble: Trouble | None = None


class ScriptedLlm:
    """The server, on loopback, on a port of the system's choice.

    Args:
        latency: seconds that every answer takes at least.
        hang: seconds that a call is left without an answer, when it is to hang.
    """

    def __init__(self, latency: float = 0.0, hang: float = 8.0) -> None:
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.log: list[Call] = []
        self._lock = threading.Condition()
        self._hold_after: int | None = None
        self._hold_kind: str | None = None
        self._spoilt: deque[Trouble | None] = deque()
        self._latency = latency
        self._hang = hang
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def spec(self, model: str = "scripted") -> str:
        """The model's name for ``--llm``."""
        return f"{self.base_url}#{model}"

    def hold(self, kind: str, after: int) -> None:
        """Keep back every answer of a kind (``mine``, ``judge``, …) after so many."""
        with self._lock:
            self._hold_kind, self._hold_after = kind, self.answered[kind] + after

    def release(self) -> None:
        """Hold nothing back any more."""
        with self._lock:
            self._hold_kind = self._hold_after = None
            self._lock.notify_all()

    def total(self, kind: str) -> int:
        """Calls of a kind, answered or not."""
        with self._lock:
            return sum(count for name, count in self.calls.items() if name.startswith(kind))

    def spoil(self, script: Iterable[Trouble | None]) -> None:
        """What happens to the calls that come next, one after the other; None is an answer."""
        with self._lock:
            self._spoilt.extend(script)

    def unspoilt(self) -> list[Trouble]:
        """Take back the troubles that no call has met yet."""
        with self._lock:
            left = [trouble for trouble in self._spoilt if trouble is not None]
            self._spoilt.clear()
            return left

    def arrival(self, body: dict[str, Any], caller: str) -> Call:
        """Count a request, and decide whether it goes wrong."""
        messages = [(item["role"], item["content"]) for item in body["messages"]]
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        call = Call(request_digest(schema_of(body), messages), caller, time.monotonic())
        with self._lock:
            self.calls[f"{kind_of(body)}:{digest}"] += 1
            self.models[body["model"]] += 1
            self.log.append(call)
            if self._spoilt:
                call.trouble = self._spoilt.popleft()
        return call

    def answer(self, call: Call, body: dict[str, Any]) -> bytes:
        """Make the answer: from here on the call is billed."""
        kind = kind_of(body)
        time.sleep(self._latency)
        if call.trouble is Trouble.SLOW:
            time.sleep(self._hang / 8)
        with self._lock:
            while self._hold_kind == kind and self.answered[kind] >= (self._hold_after or 0):
                self._lock.wait()
            reply = json.dumps(completion(body)).encode()
            self.answered[kind] += 1
            call.billed = time.monotonic()
        return reply

    def hang(self) -> None:
        """Say nothing for as long as a call hangs."""
        time.sleep(self._hang)


def _handler(owner: ScriptedLlm) -> type[BaseHTTPRequestHandler]:  # noqa: C901  (a class's methods)
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            raw = self.rfile.read(length)
            if len(raw) < length:
                return  # The caller was killed while it wrote.
            body = json.loads(raw)
            call = owner.arrival(body, self.headers.get("authorization", "").split(" ")[-1])
            try:
                self._serve(call, body)
            except OSError:
                return  # The caller was killed while it waited.

        def _serve(self, call: Call, body: dict[str, Any]) -> None:
            if call.trouble is Trouble.RESET:
                self._reset()
                return
            if call.trouble is Trouble.HANG:
                owner.hang()
                self._reset()
                return
            if call.trouble in ERRORS:
                status = ERRORS[call.trouble]
                self._send(status, json.dumps({"error": {"message": "scripted"}}).encode())
                return
            try:
                reply = owner.answer(call, body)
            except Exception as error:  # noqa: BLE001  (told to the caller, who fails for good)
                said = {"error": {"message": f"unscripted: {error!r}"}}
                self._send(403, json.dumps(said).encode())
                return
            if call.trouble is Trouble.CUT:
                self._send(200, reply, part=len(reply) // 2)
                self._reset()
                return
            self._send(200, reply)
            call.sent = time.monotonic()

        def _send(self, status: int, reply: bytes, part: int | None = None) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            if status == 429:
                self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(reply[:part])
            self.wfile.flush()

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name)
            return

    return Handler
