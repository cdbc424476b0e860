"""A scripted OpenAI-compatible server over real HTTP: deterministic answers, every call counted.

It takes every sentence that does not ask for a claim, rewrites nothing, and finds no names; it
scores claims by their digest, calls every pair the same, splits nothing, and sums up in the claims'
own words. ``hold`` makes it keep answers back until ``release``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from stope.flagship.exam import MATTERS

_SENTENCE = re.compile(r"^(l\d+): (.*)$", re.MULTILINE)
_MARKED = re.compile(r"^s(\d+)\*: (?:\w+: )?(.*)$", re.MULTILINE)
_LINE = re.compile(r"^([a-z]?\d+): (.*)$", re.MULTILINE)
FLAGSHIP = ("judge", "exam", "merge", "split", "summary", "themes")
"""Kinds of requests of the flagship; every other one is ``mine``."""


class ScriptedLlm:
    """The server, on loopback, on a port of the system's choice."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self._lock = threading.Condition()
        self._hold_after: int | None = None
        self._hold_kind: str | None = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = 200
                try:
                    reply = json.dumps(owner.answer(body)).encode()
                except Exception as error:  # noqa: BLE001  (told to the caller, who fails for good)
                    reply = json.dumps({"error": {"message": f"unscripted: {error!r}"}}).encode()
                    status = 403
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(reply)))
                    self.end_headers()
                    self.wfile.write(reply)
                except OSError:
                    return  # The caller was killed while it waited.

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def spec(self, model: str = "scripted") -> str:
        """The model's name for ``--llm``."""
        return f"{self.base_url}#{model}"

    def hold(self, kind: str, after: int) -> None:
        """Keep back every answer of a kind (``mine``, ``judge``, …) after so many."""
        with self._lock:
            self._hold_kind, self._hold_after = kind, self.answered[kind] + after

    def release(self) -> None:
        with self._lock:
            self._hold_kind = self._hold_after = None
            self._lock.notify_all()

    def total(self, kind: str) -> int:
        """Calls of a kind, answered or not."""
        with self._lock:
            return sum(count for name, count in self.calls.items() if name.startswith(kind))

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][-1]["content"]
        schema = body["response_format"]["json_schema"]["name"]
        kind = schema if schema in FLAGSHIP else "mine"
        key = f"{kind}:{hashlib.sha256(json.dumps(body['messages']).encode()).hexdigest()}"
        with self._lock:
            self.calls[key] += 1
            self.models[body["model"]] += 1
            while self._hold_kind == kind and self.answered[kind] >= (self._hold_after or 0):
                self._lock.wait()
            self.answered[kind] += 1
        content = _evaluated(kind, text) if kind in FLAGSHIP else _mined(schema, text)
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": json.dumps(content)},
                }
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
        }


def _mined(schema: str, text: str) -> dict[str, Any]:
    if schema == "sentence_kinds":
        return {
            name: "question" if sentence.endswith("?") else "factual"
            for name, sentence in _SENTENCE.findall(text)
        }
    if schema == "rewritings":
        return {f"s{number}": sentence for number, sentence in _MARKED.findall(text)}
    if schema == "named_things":
        return {"people": [], "organisations": [], "terms": [], "concepts": []}
    raise AssertionError(f"nothing is scripted for {schema}")


def _evaluated(kind: str, text: str) -> dict[str, Any]:
    lines = dict(_LINE.findall(text))
    if kind == "exam":
        return {name: "222" if claim in MATTERS else "000" for name, claim in lines.items()}
    if kind == "judge":
        return {name: _digits(claim) for name, claim in lines.items()}
    if kind == "merge":
        return dict.fromkeys(lines, "same")
    if kind == "split":
        return {name: [] for name in lines}
    if kind == "summary":
        claims = list(lines.values())
        return {"short": claims[0], "long": claims[:3]}
    return {name: words.split(",")[0] for name, words in lines.items()}


def _digits(claim: str) -> str:
    score = hashlib.sha256(claim.encode()).digest()
    return "".join(str(byte % 3) for byte in score[:3])
