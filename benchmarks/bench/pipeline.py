"""The pipeline against a bare script: what being durable costs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.bench.audio import joined
from benchmarks.bench.bare import BareDone, BareWork
from benchmarks.bench.bench import SPOKEN, WARM_UP, Bench, Turns, recording
from benchmarks.bench.calls import Call, calls_since, waves
from benchmarks.bench.child import started
from benchmarks.bench.home import running
from benchmarks.bench.load import MOST, Load
from benchmarks.bench.measure import Figure, Row, Series, fastest, fastest_less, recorded
from benchmarks.bench.scripted import ScriptedServer
from stope.audio.chunks import plan_chunks
from stope.audio.decode import decode_once
from stope.llm.embedded import PARALLEL
from stope.models.job import Diarize, JobType, JsonObject, Selection
from stope.settings import DEFAULT_LLM, Settings

LANGUAGE = "en"
LIMIT = 1.05

_WARM_UP_SECONDS = 20.0
_SECONDS = 90.0
"""Long enough that what a job costs once is little of it; all turns take a quarter of an hour."""

_QUICK_SECONDS = 25.0
_TURNS = 3
_SCRIPTED_TURNS = 3

_LEAST = 0.97
"""The script does a part of what the pipeline does: a smaller ratio of the fastest turns than this
is no result."""

_LATENCY = 0.5
"""Seconds per call of the scripted model."""


@dataclass(frozen=True)
class _Asked:
    """One timed pipeline: what it took, what it asked, and the same of the warm-up before it."""

    seconds: float
    calls: Sequence[Call]
    warm_calls: Sequence[Call]
    metrics: Mapping[str, JsonObject]
    others: float
    server_seconds: float
    worker_seconds: float


@dataclass(frozen=True)
class _Plan:
    """What all sides work on."""

    llm: str
    config: Mapping[str, object]
    slots: int | None
    recording: Path
    warm_up: Path
    turns: int

    def diarizing(self, how: Diarize) -> _Plan:
        """The same, telling speakers apart or not."""
        return replace(self, config={**self.config, "diarize": how})


async def measure_real(bench: Bench) -> Row:
    """The headline: the embedded default model, everything as ``stope run`` has it."""
    with bench.row("pipeline") as folder:
        source = await _source(bench, folder)
        warm_up = await _clip(folder / "warm_up.wav", _WARM_UP_SECONDS, WARM_UP)
        plan = _Plan(DEFAULT_LLM, {}, None, source, warm_up, _TURNS)
        return await _compared(bench, "pipeline", folder, plan, limit=LIMIT)


async def measure_scripted(bench: Bench) -> Row:
    """The steadier figure: real speech recognition, and a language model of fixed speed."""
    with bench.row("overhead") as folder, ScriptedServer(_LATENCY) as server:
        plan = _Plan(
            server.model,
            {"selection": Selection.LEARNED},
            PARALLEL,
            await _source(bench, folder),
            await _clip(folder / "warm_up.wav", _WARM_UP_SECONDS, WARM_UP),
            _SCRIPTED_TURNS,
        )
        return await _compared(bench, "overhead", folder, plan, limit=None)


async def _compared(bench: Bench, key: str, folder: Path, plan: _Plan, limit: float | None) -> Row:
    turns = Turns(key)
    equal: list[_Asked] = []
    scripts: list[BareDone] = []
    script_others: list[float] = []
    speakers: list[_Asked] = []

    async def ours(turn: int) -> None:
        turns.say(f"pipeline, turn {turn}")
        settings = bench.settings(folder / f"home{turn}", plan.llm)
        equal.append(await _pipeline(settings, plan.diarizing(Diarize.OFF)))

    async def script(turn: int) -> None:
        turns.say(f"bare script, turn {turn}")
        settings = bench.settings(folder / f"home{turn}", plan.llm)
        # What the first pipeline asked, in every turn: all are to do the same.
        done, others = await _bare(settings, plan, equal[0], folder)
        scripts.append(done)
        script_others.append(others)

    for turn in range(1, 2 if bench.quick else plan.turns + 1):
        # Who comes first changes: a machine gets slower, or faster, as time goes by.
        for side in (ours, script) if turn % 2 else (script, ours):
            await side(turn)
    turns.say("pipeline that tells speakers apart")
    settings = bench.settings(folder / "speakers", plan.llm)
    speakers.append(await _pipeline(settings, plan.diarizing(Diarize.REQUIRED)))
    bare = Series(name="bare script", unit="s", values=tuple(s.seconds for s in scripts))
    return Row(
        key=key,
        figures=(
            *_figures("pipeline", equal, bare, script_others, limit),
            *_figures("pipeline that tells speakers apart too", speakers, bare, script_others),
        ),
        series=(
            _walls("pipeline", equal),
            bare,
            _walls("pipeline that tells speakers apart too", speakers),
            _shares("pipeline: machine taken by others", [p.others for p in equal]),
            _shares("bare script: machine taken by others", script_others),
            _shares("with speakers: machine taken by others", [p.others for p in speakers]),
            *_beside(equal, scripts),
        ),
        notes=tuple(_notes(equal, speakers)),
    )


def _figures(
    name: str,
    pipelines: Sequence[_Asked],
    bare: Series,
    script_others: Sequence[float],
    limit: float | None = None,
) -> tuple[Figure, Figure]:
    ours = _walls(name, pipelines)
    found = fastest(f"{name} ÷ bare script", ours, bare, limit)
    doubt = doubt_of(found.value, [*(p.others for p in pipelines), *script_others])
    return (
        found.model_copy(update={"doubt": doubt}),
        fastest_less(f"{name} less bare script", ours, bare).model_copy(update={"doubt": doubt}),
    )


def _walls(name: str, pipelines: Sequence[_Asked]) -> Series:
    return Series(name=name, unit="s", values=tuple(p.seconds for p in pipelines))


def doubt_of(least: float, others: Sequence[float]) -> str | None:
    """Why a comparison is no result; None where nothing speaks against it.

    Args:
        least: the ratio of pipeline to script, or the least of several.
        others: the share of the machine that others took, for each side of each turn.
    """
    if least < _LEAST:
        return (
            f"the pipeline took {least:.2f} of the time of a script that does less, so "
            "the sides did not have the same machine or did not do the same"
        )
    if max(others) > MOST:
        return (
            f"others took {100 * max(others):.0f} % of the machine during one side; measure on an "
            "idle one"
        )
    return None


def _shares(name: str, shares: Sequence[float]) -> Series:
    return Series(name=name, unit="%", values=tuple(100 * share for share in shares))


async def _pipeline(settings: Settings, plan: _Plan) -> _Asked:
    async with running(settings) as home:
        warm = await home.process(JobType.PIPELINE, plan.warm_up, plan.config, plan.slots)
        warm_calls = await calls_since(settings, warm.began)
        server, worker = psutil.Process(home.server_pid), psutil.Process(home.worker_pid)
        before = _busy(server), _busy(worker)
        load = Load()
        done = await home.process(JobType.PIPELINE, plan.recording, plan.config, plan.slots)
        others = load.of_others()
        return _Asked(
            seconds=done.seconds,
            calls=await calls_since(settings, done.began),
            warm_calls=warm_calls,
            metrics=await home.metrics(done.job_id),
            others=others,
            server_seconds=_busy(server) - before[0],
            worker_seconds=_busy(worker) - before[1],
        )


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _bare(
    settings: Settings, plan: _Plan, asked: _Asked, folder: Path
) -> tuple[BareDone, float]:
    """The script in a process of its own, after the same warm-up; no server or worker runs.

    Returns what it did, and the share of the machine that others took meanwhile.
    """
    async with started("benchmarks.bench.bare", settings, folder / "bare.log") as script:
        warm_up = await _work(plan, plan.warm_up, asked.warm_calls, folder)
        work = await _work(plan, plan.recording, asked.calls, folder)
        await script.ask(warm_up.model_dump(mode="json"))
        load = Load()
        done = BareDone.model_validate(await script.ask(work.model_dump(mode="json")))
        return done, load.of_others()


async def _work(plan: _Plan, source: Path, calls: Sequence[Call], folder: Path) -> BareWork:
    samples = folder / f"{source.stem}.s16"
    await asyncio.to_thread(decode_once, source, samples)
    chunks = (await asyncio.to_thread(plan_chunks, samples)).chunks
    return BareWork(
        recording=source,
        language=LANGUAGE,
        chunks=tuple((chunk.start_sample, chunk.end_sample) for chunk in chunks),
        waves=tuple(tuple(call.request for call in wave) for wave in waves(calls)),
        slots=plan.slots,
    )


def _beside(pipelines: Sequence[_Asked], scripts: Sequence[BareDone]) -> list[Series]:
    """What says whether the two sides did the same."""
    of_stage = {
        stage: tuple(recorded(p.metrics[stage], "wall_seconds") for p in pipelines)
        for stage in ("transcribe", "mine", "flagship")
    }
    speech = tuple(script.speech_seconds for script in scripts)
    rest = tuple(script.seconds - script.speech_seconds for script in scripts)
    written = tuple(float(sum(c.completion_tokens for c in p.calls)) for p in pipelines)
    again = tuple(float(script.completion_tokens) for script in scripts)
    return [
        *(Series(name=f"pipeline: {k}", unit="s", values=v) for k, v in of_stage.items()),
        Series(name="bare script: speech", unit="s", values=speech),
        Series(name="bare script: language", unit="s", values=rest),
        Series(name="pipeline: written", unit="tokens", values=written),
        Series(name="bare script: written", unit="tokens", values=again),
        Series(
            name="pipeline: processor time of the Temporal server",
            unit="s",
            values=tuple(p.server_seconds for p in pipelines),
        ),
        Series(
            name="pipeline: processor time of the worker, models included",
            unit="s",
            values=tuple(p.worker_seconds for p in pipelines),
        ),
    ]


def _notes(equal: Sequence[_Asked], speakers: Sequence[_Asked]) -> list[str]:
    last, apart = equal[-1], speakers[-1]
    counts = ", ".join(str(len(asked.calls)) for asked in equal)
    groups = len(waves(last.calls))
    again = recorded(last.metrics["transcribe"], "chunks_redecoded")
    diarizer = recorded(apart.metrics["transcribe"], "diarization_seconds")
    written = sum(call.completion_tokens for call in apart.calls)
    return [
        (
            f"Calls by turn: {counts}; the last turn's in {groups} groups that waited for each "
            f"other. {again:.0f} chunks were decoded more than once, which the script does not do."
        ),
        (
            "Who tells speakers apart cuts segments where the speaker changes, so it asks other "
            f"things: {len(apart.calls)} calls and {written} tokens written in the last turn, and "
            f"{diarizer:.1f} s of the diarizer in all its threads together."
        ),
    ]


async def _source(bench: Bench, folder: Path) -> Path:
    seconds = _QUICK_SECONDS if bench.quick else _SECONDS
    return await _clip(folder / "clip.wav", seconds, *SPOKEN)


async def _clip(target: Path, seconds: float, *names: str) -> Path:
    await asyncio.to_thread(joined, [recording(name) for name in names], target, seconds)
    return target
