"""A receiver for `stope upload JOB --to http://127.0.0.1:8787/stope`.

    STOPE_UPLOAD_HMAC_KEY=… python examples/receiver.py received.db 8787

It needs nothing but Python. It checks signatures, keeps every item in a SQLite file, answers for
each, and says what it has. Put it behind a server that speaks TLS if others are to reach it, and
name the URL that those call as a third argument: the signature is good for that URL only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LARGEST = 64 << 20
"""Bytes of a request."""

OLDEST = 300
"""Seconds that a request may be old: who records one cannot send it again tomorrow."""

Reply = tuple[int, dict[str, Any]]


class Receiver:
    """Keeps what it is sent in a SQLite file.

    Args:
        key: the one in the sender's STOPE_UPLOAD_HMAC_KEY.
        url: what senders call it. Never the header ``Host``: that is the sender's word.
        path: the file; ":memory:" keeps nothing.
    """

    def __init__(self, key: str, url: str, path: str = ":memory:") -> None:
        self.url = url.rstrip("/")
        self._key = key.encode()
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS item (id TEXT PRIMARY KEY, kind TEXT NOT NULL,"
            " content_type TEXT NOT NULL, content BLOB NOT NULL, sent_at INTEGER NOT NULL)"
        )

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The status and the body that answer a POST."""
        own, path = urlsplit(self.url).path, path.rstrip("/")
        if path not in (own, f"{own}/digests"):
            return 404, {"error": f"nothing is received at {path}"}
        if not self._is_signed(self.url + path.removeprefix(own), headers, body):
            return 401, {"error": f"not signed for {self.url} in the last five minutes"}
        try:
            asked = json.loads(body)
            if path != own:
                return 200, {"items": [self._kept(name) for name in asked["ids"]]}
            return 207, {"items": self._take_all(asked["items"], int(headers["Stope-Timestamp"]))}
        except (ValueError, KeyError, TypeError) as error:
            return 400, {"error": f"this is no delivery: {error!r}"}

    def _is_signed(self, url: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether somebody with the key sent this here, and just now."""
        timestamp = headers.get("Stope-Timestamp", "")
        signed = f"{timestamp}\nPOST\n{url}\n".encode() + body
        expected = "v2=" + hmac.new(self._key, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), headers.get("Stope-Signature", "").encode()):
            return False
        return timestamp.isdigit() and abs(time.time() - int(timestamp)) <= OLDEST

    def _take_all(self, items: list[dict[str, Any]], sent_at: int) -> list[dict[str, Any]]:
        """Keep items, and say so once they are safe."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            return [self._take(item, sent_at) for item in items]

    def _take(self, item: dict[str, Any], sent_at: int) -> dict[str, Any]:
        receipt: dict[str, Any] = {"id": item["id"]}
        content = content_of(item)
        if hashlib.sha256(content).hexdigest() != item["sha256"]:
            return receipt | {"status": 422, "reason": "the content has another digest"}
        found = self._database.execute(
            "SELECT content, sent_at FROM item WHERE id = ?", [item["id"]]
        ).fetchone()
        if found and found[0] == content:
            return receipt | {"status": 200, "written": False, "sha256": item["sha256"]}
        if found and found[1] > sent_at:
            # Recorded and sent again, or from a sender whose clock is late: a later try is newer.
            return receipt | {"status": 409, "reason": "there is a newer one", "retry_after": 1}
        self._database.execute(
            "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?)",
            [item["id"], item["kind"], item["content_type"], content, sent_at],
        )
        return receipt | {"status": 201, "sha256": item["sha256"]}

    def _kept(self, item_id: str) -> dict[str, Any]:
        with self._lock:
            found = self._database.execute(
                "SELECT content FROM item WHERE id = ?", [item_id]
            ).fetchone()
        return {"id": item_id, "sha256": hashlib.sha256(found[0]).hexdigest() if found else None}


def content_of(item: Mapping[str, Any]) -> bytes:
    """The bytes whose SHA-256 an item names."""
    if "record" in item:
        canonical = json.dumps(
            item["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return canonical.encode()
    return item["text"].encode() if "text" in item else base64.b64decode(item["base64"])


def handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    """What the server does with a connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= LARGEST:
                self.close_connection = True
                self.reply(413, {"error": f"send between 1 and {LARGEST} bytes"})
                return
            self.reply(*receiver.answer(self.path, self.headers, self.rfile.read(length)))

        def reply(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


if __name__ == "__main__":
    where, port = sys.argv[1], int(sys.argv[2])
    address = sys.argv[3] if len(sys.argv) > 3 else f"http://127.0.0.1:{port}/stope"
    served = Receiver(os.environ["STOPE_UPLOAD_HMAC_KEY"], address, where)
    server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(served))
    print(f"receiving at {served.url} into {where}")
    server.serve_forever()
