"""A real HTTP server for OpenAI's transcription protocol, with tiny.en behind it.

It answers in the way of OpenAI's own: words without punctuation, the language by its English name,
segments with their mean log probability. A test can script faults: they are answered first.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import punctuation

PATH = "/v1/audio/transcriptions"
KEY = "k-speech"


@dataclass(frozen=True)
class Reply:
    """An answer that is scripted."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """A request, as it came in."""

    fields: dict[str, list[str]]
    audio: bytes
    file_name: str


class SpeechServer:
    """``base_url`` is where it listens; ``uploads`` is what it was asked; ``script`` its faults."""

    def __init__(self, model_folder: Path) -> None:
        self.uploads: list[Upload] = []
        self.script: list[Reply] = []
        self.base_url = ""
        self._folder = model_folder
        self._lock = threading.Lock()

    @cached_property
    def _model(self) -> object:
        from faster_whisper import WhisperModel

        return WhisperModel(str(self._folder), device="cpu", compute_type="int8", cpu_threads=1)

    def answer(self, upload: Upload) -> Reply:
        """What is scripted, else what tiny.en hears."""
        with self._lock:
            self.uploads.append(upload)
            return self.script.pop(0) if self.script else self._hear(upload)

    def _hear(self, upload: Upload) -> Reply:
        segments, info = self._model.transcribe(  # type: ignore[attr-defined]  # ships no types
            io.BytesIO(upload.audio),
            temperature=float(upload.fields["temperature"][0]),
            beam_size=5,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        found = list(segments)
        body = {
            "task": "transcribe",
            "language": "english",
            "duration": info.duration,
            "text": "".join(segment.text for segment in found).strip(),
            "words": [
                {
                    "word": word.word.strip().strip(punctuation),
                    "start": float(word.start),
                    "end": float(word.end),
                }
                for segment in found
                for word in segment.words
            ],
            "segments": [
                {
                    "id": number,
                    "start": float(segment.start),
                    "end": float(segment.end),
                    "text": segment.text,
                    "avg_logprob": float(segment.avg_logprob),
                    "no_speech_prob": float(segment.no_speech_prob),
                }
                for number, segment in enumerate(found)
            ],
        }
        return Reply(200, json.dumps(body))


@contextmanager
def serving(model_folder: Path) -> Iterator[SpeechServer]:
    """The server, on a port of its own, for the time of a ``with``."""
    speech = SpeechServer(model_folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != PATH:
                reply = Reply(404, json.dumps({"error": {"message": f"no {self.path}"}}))
            elif self.headers["authorization"] != f"Bearer {KEY}":
                reply = Reply(401, json.dumps({"error": {"message": "wrong key"}}))
            else:
                reply = speech.answer(_upload(self.headers["content-type"], body))
            data = reply.body.encode()
            self.send_response(reply.status)
            headers = {"content-type": "application/json", "content-length": str(len(data))}
            for name, value in (headers | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    speech.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield speech
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _upload(content_type: str, body: bytes) -> Upload:
    message = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    upload = Upload({}, b"", "")
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(data, bytes)
        if name == "file":
            upload.audio, upload.file_name = data, part.get_filename() or ""
        else:
            upload.fields.setdefault(name.removesuffix("[]"), []).append(data.decode())
    return upload
