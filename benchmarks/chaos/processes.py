"""The director's side of the nursery: children by their numbers, and how they ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Libraries that would start threads while they are imported, before anything is forked."""


class Child:
    """One forked process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self._ended = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether it has not ended; a stopped process lives."""
        return self.status is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.alive:
            # It may have ended a moment ago, and the nursery has not said so yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self, seconds: float) -> int:
        """Its exit status, negative for a signal.

        Raises:
            TimeoutError: it lives on.
        """
        async with asyncio.timeout(seconds):
            await self._ended.wait()
        return self.status if self.status is not None else 0

    def end(self, status: int) -> None:
        """Note how it ended."""
        self.status = status
        self._ended.set()


class Nursery:
    """Forks children of a warm process. One for all runs of a sweep."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[Child] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.chaos.nursery"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | _QUIET,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the nursery has no pipes")
        self._input = self._process.stdin
        self._listening = asyncio.create_task(self._listen(self._process.stdout))
        async with asyncio.timeout(120):
            await self._ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._input.close()
        await self._process.wait()
        await self._listening

    async def fork(self, role: str, environment: Mapping[str, str], log: Path) -> Child:
        """A new child."""
        asked = {"role": role, "environment": dict(environment), "log": str(log)}
        async with self._asking:
            self._input.write((json.dumps(asked) + "\n").encode())
            await self._input.drain()
            async with asyncio.timeout(30):
                return await self._born.get()

    async def _listen(self, output: asyncio.StreamReader) -> None:
        async for line in output:
            said = json.loads(line)
            if "ready" in said:
                self._ready.set()
            elif "pid" in said:
                child = self._children[said["pid"]] = Child(said["pid"])
                self._born.put_nowait(child)
            else:
                self._children.pop(said["ended"]).end(said["status"])
