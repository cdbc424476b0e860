"""What goes wrong around a run, made for real: servers, disks, permissions and recordings."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tests.resume.scripted_llm import ScriptedLlm

RATE = 16_000
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a command complained with."""
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("stope: ")]
    assert len(said) == 1, done.stderr
    return said[0]


def half_written(home: Path) -> list[Path]:
    """Files of a home that were on their way to become others."""
    return [
        path
        for path in home.rglob("*")
        if path.is_file()
        and (
            (path.parent.name == "scratch" and path.suffix not in (".s16", ".json"))
            or path.suffix in (".part", ".tmp")
            or (path.is_relative_to(home / "exports") and path.name.startswith("."))
            or (path.is_relative_to(home / "artifacts") and "#" in path.name)
        )
    ]


def bound_by_modes() -> None:
    """For a child process: file modes bind it, also when root starts it."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def limit_files(pid: int, size: int | None) -> None:
    """No file of a process may grow beyond a size from now on; None: as far as it likes.

    Writing more fails as on a disk, or a quota, that is full. Process 0 is the caller.
    """
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    """Somebody else's server on a port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield int(other.getsockname()[1])


class MoodyLlm:
    """A language-model server that answers as the scripted one, or as its mood is.

    Moods: ``None``, ``401``, ``404`` (statuses), ``nonsense`` (an answer that is not JSON),
    ``truncated`` (cut off at the token limit), ``page`` (a web page). A mood is only for requests
    whose last message has the words of ``about``.
    """

    def __init__(self, port: int = 0) -> None:
        self.script = ScriptedLlm()
        self.mood: str | None = None
        self.about = ""
        self.asked = 0
        self.prompts: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.asked += 1
                status, kind, reply = owner._reply(body)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> MoodyLlm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def spec(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1#moody"

    @property
    def paid_twice(self) -> list[str]:
        """Requests that the script answered more than once."""
        return [key for key, count in self.script.calls.items() if count > 1]

    def _reply(self, body: dict[str, Any]) -> tuple[int, str, bytes]:
        prompt = str(body["messages"][-1]["content"])
        self.prompts.append(prompt)
        mood = self.mood if self.about in prompt else None
        if mood in ("401", "404"):
            said = {"401": "Incorrect API key provided", "404": "The model does not exist"}
            error = {"error": {"message": said[mood], "type": "x", "code": None}}
            return int(mood), "application/json", json.dumps(error).encode()
        if mood == "page":
            return 200, "text/html", b"<html>Welcome</html>"
        if mood == "nonsense":
            answer = self._answer("As a language model I like rivers.", "stop")
        elif mood == "truncated":
            answer = self._answer('{"claims": [{"quote": "In', "length")
        else:
            call = self.script.arrival(body, "moody")
            return 200, "application/json", self.script.answer(call, body)
        return 200, "application/json", json.dumps(answer).encode()

    def _answer(self, content: str, finish: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "moody",
            "choices": [choice],
            "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
        }


def speech(interview: Path, start: float, end: float) -> npt.NDArray[np.int16]:
    """Seconds of the example recording, 16 kHz mono."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    blocks: list[npt.NDArray[np.int16]] = []
    with av.open(str(interview)) as container:
        for frame in container.decode(audio=0):
            blocks += [
                item.to_ndarray().reshape(-1).astype(np.int16) for item in resampler.resample(frame)
            ]
            if sum(block.size for block in blocks) > end * RATE:
                break
    return np.concatenate(blocks)[int(start * RATE) : int(end * RATE)]


def write_wav(path: Path, samples: npt.NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_flac(path: Path, samples: npt.NDArray[np.int16]) -> Path:
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        for first in range(0, samples.size, 1024):
            block = np.ascontiguousarray(samples[first : first + 1024].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
