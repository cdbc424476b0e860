"""A scripted OpenAI-compatible server over real HTTP: deterministic answers, every call counted.

It answers mining requests with one claim per sentence of the transcript, and judging requests with
scores made from the claim's digest. ``hold`` makes it keep answers back until ``release``.
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

_SENTENCE = re.compile(r"[^.?!\n]+[.?!]")
_CLAIM = re.compile(r"^(c\d+): (.*)$", re.MULTILINE)


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
                reply = json.dumps(owner.answer(body)).encode()
                try:
                    self.send_response(200)
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
        """Keep back every answer of a kind (``mine`` or ``judge``) after so many."""
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
        kind = "judge" if "<claims>" in text else "mine"
        key = f"{kind}:{hashlib.sha256(json.dumps(body['messages']).encode()).hexdigest()}"
        with self._lock:
            self.calls[key] += 1
            self.models[body["model"]] += 1
            while self._hold_kind == kind and self.answered[kind] >= (self._hold_after or 0):
                self._lock.wait()
            self.answered[kind] += 1
        content = _verdicts(text) if kind == "judge" else _claims(text)
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


def _claims(text: str) -> dict[str, Any]:
    inner = text.split("<transcript>\n", 1)[1].rsplit("\n</transcript>", 1)[0]
    sentences = [found.group().strip() for found in _SENTENCE.finditer(inner.replace("\n", " "))]
    return {
        "claims": [
            {"quote": sentence, "type": "factual", "stance": None, "claim": None}
            for sentence in sentences
        ]
    }


def _verdicts(text: str) -> dict[str, Any]:
    return {name: _verdict(claim) for name, claim in _CLAIM.findall(text)}


def _verdict(claim: str) -> dict[str, Any]:
    score = hashlib.sha256(claim.encode()).digest()
    return {
        "importance": score[0] % 11,
        "novelty": score[1] % 11,
        "confidence": score[2] % 11,
        "decision": "accept" if score[3] % 4 else "reject",
        "reason": "Scored by its digest.",
        "text": None,
    }
