"""Child processes that do one side of a comparison: asked and answering in lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.bench.measure import MeasurementError
from stope.errors import StopeError
from stope.models.job import JsonObject
from stope.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

_OURS = ("STOPE_", "TEMPORAL_", "OPENAI_", "OLLAMA_")
_PASSED = (
    "home",
    "models",
    "llm",
    "asr",
    "device",
    "diarizer",
    "llm_context",
    "hub_timeout",
    "temporal_port",
    "temporal_cli",
    "log_level",
)
_LONGEST_LINE = 1 << 26
_LEAVE_SECONDS = 60


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with these settings in place of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    found = {name: getattr(settings, name) for name in _PASSED}
    return kept | {
        f"STOPE_{name.upper()}": str(value) for name, value in found.items() if value is not None
    }


class Child:
    """A process that answers one request at a time, and rests in between."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ask(self, request: Mapping[str, object]) -> JsonObject:
        """Its answer to a request.

        Raises:
            MeasurementError: it says why it cannot, or it is gone.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("a child is started with pipes")
        stdin.write(json.dumps(request).encode() + b"\n")
        await stdin.drain()
        line = await stdout.readline()
        if not line:
            raise MeasurementError(f"A measuring process died; it said: {last_line(self._log)}")
        answer: JsonObject = json.loads(line)
        if "error" in answer:
            raise MeasurementError(str(answer["error"]))
        return answer


@asynccontextmanager
async def started(module: str, settings: Settings, log: Path) -> AsyncIterator[Child]:
    """A child that runs a module with ``serve`` in it; it is ended afterwards.

    Args:
        module: its dotted name.
        settings: what the child shall find in its environment.
        log: where its stderr goes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stream,
            env=environment(settings),
            cwd=ROOT,
            limit=_LONGEST_LINE,
        )
    try:
        yield Child(process, log)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await ended(process, _LEAVE_SECONDS)


async def ended(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Wait for a process that was asked to leave; kill it when it does not."""
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()


def last_line(log: Path) -> str:
    """The end of what a process wrote."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "nothing"


async def _nothing_to_close() -> None:
    return None


def serve(
    answer: Callable[[JsonObject], Awaitable[JsonObject]],
    close: Callable[[], Awaitable[None]] = _nothing_to_close,
) -> None:
    """Answer requests from stdin on stdout until stdin ends. One that fails answers with why.

    Args:
        answer: gives the answer to a request.
        close: called at the end.
    """
    # Libraries may print: their stdout becomes stderr, the answers have the real one to themselves.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)

        async def loop() -> None:
            try:
                while line := await asyncio.to_thread(sys.stdin.readline):
                    try:
                        found = await answer(json.loads(line))
                    except StopeError as error:
                        found = {"error": str(error)}
                    replies.write(json.dumps(found) + "\n")
                    replies.flush()
            finally:
                await close()

        asyncio.run(loop())
