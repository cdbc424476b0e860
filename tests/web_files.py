"""A web server with files that are given by range, or wrongly in a way that a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase


@dataclass
class WebFile:
    """A file, and how it is served.

    A part of it has ``more`` bytes than were asked for, or says that it begins ``shifted`` bytes
    later; ``drip`` is the seconds between two bytes.
    """

    data: bytes
    etag: str = '"v1"'
    ranges: bool = True
    modified: str = ""
    status: int = 0
    location: str = ""
    query: str = ""
    broken_off: int = 0
    more: int = 0
    shifted: int = 0
    drip: float = 0


@dataclass
class WebFiles:
    """A server of files on loopback; ``asked`` has the path with the query of every request."""

    files: dict[str, WebFile] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    port: int = 0

    def url(self, path: str) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[WebFiles]:
    """A server that runs until the end."""
    web = WebFiles()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.asked.append(self.path)
            path, _, query = self.path.partition("?")
            file = web.files.get(path)
            if file is None or (file.query and query != file.query):
                self._say(404 if file is None else 403)
            elif file.status:
                self._say(file.status, {"Location": file.location} if file.location else {})
            else:
                self._give(file)

        def _give(self, file: WebFile) -> None:
            headers = {"ETag": file.etag} if file.etag else {}
            if file.modified:
                headers["Last-Modified"] = file.modified
            asked = self.headers.get("Range")
            if self.headers.get("If-Match", file.etag) != file.etag:
                self._say(412)
            elif asked is None or not file.ranges:
                self._say(200, headers, file.data, drip=file.drip)
            else:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, len(file.data))
                if start >= len(file.data):
                    self._say(416, {"Content-Range": f"bytes */{len(file.data)}"})
                    return
                at = start + file.shifted
                headers["Content-Range"] = f"bytes {at}-{end - 1}/{len(file.data)}"
                broken = bool(file.broken_off) and end - start > 1
                file.broken_off -= broken
                body = file.data[start:end] + b"?" * (file.more if end - start > 1 else 0)
                self._say(206, headers, body, broken=broken, drip=file.drip)

        def _say(
            self,
            status: int,
            headers: dict[str, str] | None = None,
            body: bytes = b"",
            *,
            broken: bool = False,
            drip: float = 0,
        ) -> None:
            # Before anybody who was answered can look at it.
            web.sent += len(body)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            _write(self.wfile, body[: len(body) // 2] if broken else body, drip)
            self.close_connection = broken

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web.port = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


def _write(stream: BufferedIOBase, body: bytes, drip: float) -> None:
    with suppress(OSError):
        for at in range(0, len(body), 1 if drip else max(1, len(body))):
            stream.write(body[at : at + 1] if drip else body)
            time.sleep(drip)
