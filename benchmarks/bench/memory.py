"""The worker's peak memory on two hours of audio against ten minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.bench.audio import joined
from benchmarks.bench.bench import ALL, Bench, Turns, recording
from benchmarks.bench.home import running
from benchmarks.bench.measure import Row, Series, quotient
from stope.models.job import Diarize, JobType

LIMIT = 1.15

_SHORT, _LONG = 600.0, 7200.0
_QUICK_SHORT, _QUICK_LONG = 60.0, 180.0
_POLL_SECONDS = 0.05
_MEGABYTE = 1e6


@dataclass(frozen=True)
class _Peak:
    megabytes: float
    seconds: float


async def measure(bench: Bench) -> Row:
    """Short, long, short: a fresh server and worker for each."""
    with bench.row("memory") as folder:
        turns = Turns("memory")
        lengths = (_QUICK_SHORT, _QUICK_LONG) if bench.quick else (_SHORT, _LONG)
        short, long = (folder / f"{length:.0f}.wav" for length in lengths)
        for path, length in zip((short, long), lengths, strict=True):
            await asyncio.to_thread(joined, [recording(name) for name in ALL], path, length)
        found: dict[Path, list[_Peak]] = {short: [], long: []}
        for number, sound in enumerate((short, long, short), start=1):
            turns.say(f"{sound.stem} s of audio")
            found[sound].append(await _peak(bench, folder / f"home{number}", sound))
    of_short, of_long = (
        Series(
            name=f"{length / 60:.0f} minutes",
            unit="MB",
            values=tuple(peak.megabytes for peak in found[path]),
        )
        for path, length in zip((short, long), lengths, strict=True)
    )
    walls = (
        Series(
            name=f"{length / 60:.0f} minutes: wall time",
            unit="s",
            values=tuple(peak.seconds for peak in found[path]),
        )
        for path, length in zip((short, long), lengths, strict=True)
    )
    return Row(
        key="memory",
        figures=(quotient(f"{of_long.name} ÷ {of_short.name}", of_long, of_short, LIMIT),),
        series=(of_short, of_long, *walls),
    )


async def _peak(bench: Bench, folder: Path, sound: Path) -> _Peak:
    async with running(bench.settings(folder)) as home, watched(home.worker_pid) as memory:
        done = await home.process(JobType.TRANSCRIBE, sound, {"diarize": Diarize.REQUIRED})
        return _Peak(memory.peak / _MEGABYTE, done.seconds)


class Memory:
    """The greatest resident memory of a process so far, in bytes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = 0
        self.look()

    def look(self) -> None:
        """Read it now."""
        self.peak = max(self.peak, self._process.memory_info().rss)


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Memory]:
    """The memory of a process, looked at twenty times a second."""
    memory = Memory(pid)

    async def watch() -> None:
        # A process that dies is noticed by whoever waits for its work.
        with suppress(psutil.NoSuchProcess):
            while True:
                await asyncio.sleep(_POLL_SECONDS)
                memory.look()

    watching = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
