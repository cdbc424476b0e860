"""What the processes of one run say of themselves: a line of JSON for every boundary they pass.

Times are of ``time.monotonic``, one clock for all processes of a machine. A line is written with
one call before the process goes on, so that it is there when the process is killed next.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Passage:
    """A process passed a boundary."""

    at: float
    pid: int
    what: str
    about: dict[str, Any]


class JournalWriter:
    """Appends lines; several processes may have the same file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pid = os.getpid()

    def write(self, what: str, **about: object) -> None:
        """Say that a boundary is passed now."""
        line = {"at": time.monotonic(), "pid": self._pid, "what": what, **about}
        os.write(self._file, (json.dumps(line) + "\n").encode())


class Journal:
    """Reads the lines as they come."""

    def __init__(self, path: Path) -> None:
        self.passages: list[Passage] = []
        self._path = path
        self._read = 0
        path.touch()

    def update(self) -> list[Passage]:
        """What has come since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        new: list[Passage] = []
        for line in whole.splitlines():
            body = json.loads(line)
            new.append(Passage(body.pop("at"), body.pop("pid"), body.pop("what"), body))
        self.passages += new
        return new

    def of(self, what: str) -> list[Passage]:
        """All passages of one boundary."""
        return [passage for passage in self.passages if passage.what == what]


def request_digest(schema: str, messages: Sequence[tuple[str, str]]) -> str:
    """What names a request by its content, for the workers and for the server alike."""
    return sha256(json.dumps([schema, [list(item) for item in messages]]).encode()).hexdigest()


def text_digest(text: str) -> str:
    """What names an output or an answer."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
