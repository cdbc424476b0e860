"""A web server with files that are given by range, or wrongly in a way that a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebFile:
    """A file, and how it is served."""

    data: bytes
    etag: str = '"v1"'
    ranges: bool = True
    modified: str = ""
    status: int = 0
    location: str = ""
    query: str = ""
    broken_off: int = 0


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
                self._say(200, headers, file.data)
            else:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, len(file.data))
                if start >= len(file.data):
                    self._say(416, {"Content-Range": f"bytes */{len(file.data)}"})
                    return
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(file.data)}"
                broken = bool(file.broken_off) and end - start > 1
                file.broken_off -= broken
                self._say(206, headers, file.data[start:end], broken=broken)

        def _say(
            self,
            status: int,
            headers: dict[str, str] | None = None,
            body: bytes = b"",
            *,
            broken: bool = False,
        ) -> None:
            # Before anybody who was answered can look at it.
            web.sent += len(body)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if broken else body)
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
