"""A language model of fixed speed: any schema gets an answer that fits, after the same time."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from benchmarks.bench.measure import MeasurementError

_TEXTS = ("an answer", "111", "1", "A", "2000-01-01")
"""The first that fits a pattern is said."""


def fitting(schema: dict[str, Any], root: dict[str, Any] | None = None) -> object:
    """A value that a JSON Schema allows: null where it may, else the first, least or shortest.

    Numbers come from the middle of their range.

    Raises:
        MeasurementError: the schema asks for something that is not known here.
    """
    root = root or schema
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return fitting(root["$defs"][name], root)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            kinds = cast("list[dict[str, Any]]", schema[choice])
            return None if {"type": "null"} in kinds else fitting(kinds[0], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    return _of_type(schema, root)


def _of_type(schema: dict[str, Any], root: dict[str, Any]) -> object:
    kind = schema.get("type")
    if kind == "object":
        asked = schema.get("required", [])
        return {name: fitting(schema["properties"][name], root) for name in asked}
    if kind == "array":
        if "prefixItems" in schema:
            return [fitting(item, root) for item in schema["prefixItems"]]
        return [fitting(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return (low + schema.get("maximum", low + 2)) // 2
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    raise MeasurementError(f"The scripted language model cannot answer in the schema {schema}.")


def _text(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern")
    if pattern is None:
        long: str = _TEXTS[0].ljust(schema.get("minLength", 0), ".")
        return long[: schema.get("maxLength", len(long))]
    for text in _TEXTS:
        if re.search(pattern, text):
            return text
    raise MeasurementError(f"The scripted language model knows no text like {pattern}.")


class _Listening(ThreadingHTTPServer):
    request_queue_size = 128
    """Its default of 5 turns callers away who come all at once."""


class ScriptedServer:
    """OpenAI's protocol on loopback, on a port of the system's choice.

    Args:
        latency: seconds that every call takes, however many are in flight.
    """

    def __init__(self, latency: float) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                began = time.monotonic()
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                reply = json.dumps(_reply(body)).encode()
                time.sleep(max(0.0, latency - (time.monotonic() - began)))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name)
                """Nobody reads it."""

        self._server = _Listening(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def model(self) -> str:
        """Its name for ``--llm``."""
        return f"http://127.0.0.1:{self._server.server_port}/v1#scripted"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _reply(body: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(fitting(body["response_format"]["json_schema"]["schema"]))
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
