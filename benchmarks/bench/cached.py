"""A finished job, asked for again."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench.asking import Asked
from benchmarks.bench.bench import Bench, Turns, recording
from benchmarks.bench.child import ROOT, environment, last_line, started
from benchmarks.bench.home import running
from benchmarks.bench.measure import MeasurementError, Row, Series, plain
from benchmarks.bench.scripted import ScriptedServer
from stope.models.job import JobType
from stope.settings import Settings

LIMIT = 0.3

_TURNS = 9


async def measure(bench: Bench) -> Row:
    """The client in a fresh process each time, and in turn with it the whole command.

    The job is made with a language model of no delay: what it says does not matter here.
    """
    with bench.row("cached") as folder, ScriptedServer(0) as server:
        turns = Turns("cached")
        settings = bench.settings(folder / "home", server.model)
        source = recording("interview")
        turns.say("the job is made")
        async with running(settings) as home:
            await home.process(JobType.PIPELINE, source, {})
        asked: list[Asked] = []
        commands: list[float] = []
        turns.say("and asked for again; neither a server nor a worker runs")
        for _ in range(3 if bench.quick else _TURNS):
            asked.append(await _ask(settings, source, folder))
            commands.append(await _command(settings, source, folder / "command.log"))
    client = Series(name="client", unit="s", values=tuple(item.seconds for item in asked))
    return Row(
        key="cached",
        figures=(plain("from the call to the result", client, LIMIT),),
        series=(
            client,
            Series(
                name="importing the client",
                unit="s",
                values=tuple(item.importing for item in asked),
            ),
            Series(name="the whole `stope run`", unit="s", values=tuple(commands)),
        ),
    )


async def _ask(settings: Settings, source: Path, folder: Path) -> Asked:
    async with started("benchmarks.bench.asking", settings, folder / "asking.log") as child:
        return Asked.model_validate(await child.ask({"recording": str(source)}))


async def _command(settings: Settings, source: Path, log: Path) -> float:
    """The wall time of ``stope run``: Python's start, the answer, summary and exports."""
    words: Sequence[str] = ("-m", "cli.main", "run", str(source))
    with log.open("ab") as stream:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stream,
            env=environment(settings),
            cwd=ROOT,
        )
        code = await process.wait()
        seconds = time.perf_counter() - began
    if code not in (0, 3):
        raise MeasurementError(f"`stope run` ended with {code}; it said: {last_line(log)}")
    return seconds
