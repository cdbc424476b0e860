"""The pipeline against a bare script: what being durable costs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench.audio import joined
from benchmarks.bench.bare import BareDone, BareWork
from benchmarks.bench.bench import WARM_UP, Bench, Turns, recording
from benchmarks.bench.calls import Call, calls_since, waves
from benchmarks.bench.child import started
from benchmarks.bench.home import running
from benchmarks.bench.load import MOST, Load
from benchmarks.bench.measure import Row, Series, difference, ratio, recorded
from benchmarks.bench.scripted import ScriptedServer
from stope.audio.chunks import plan_chunks
from stope.audio.decode import decode_once
from stope.llm.embedded import PARALLEL
from stope.models.job import JobType, JsonObject, Selection
from stope.settings import DEFAULT_LLM, Settings

LANGUAGE = "en"
LIMIT = 1.05

_WARM_UP_SECONDS = 20.0
_QUICK_SECONDS = 25.0
_PAIRS = 3
_ENOUGH_SECONDS = 14 * 60
"""A slow machine makes no third pair after so long."""

_LEAST = 0.97
"""The script does a part of what the pipeline does: a smaller ratio than this is no result."""

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


@dataclass(frozen=True)
class _Plan:
    """What both sides work on."""

    llm: str
    config: Mapping[str, object]
    slots: int | None
    recording: Path
    warm_up: Path


async def measure_real(bench: Bench) -> Row:
    """The headline: the embedded default model, everything as ``stope run`` has it."""
    with bench.row("pipeline") as folder:
        source = await _source(bench, folder)
        warm_up = await _clip(WARM_UP, folder / "warm_up.wav", _WARM_UP_SECONDS)
        plan = _Plan(DEFAULT_LLM, {}, None, source, warm_up)
        return await _compared(bench, "pipeline", folder, plan, limit=LIMIT)


async def measure_scripted(bench: Bench) -> Row:
    """The steadier figure: real speech recognition, and a language model of fixed speed."""
    with bench.row("overhead") as folder, ScriptedServer(_LATENCY) as server:
        plan = _Plan(
            server.model,
            {"selection": Selection.LEARNED},
            PARALLEL,
            await _source(bench, folder),
            await _clip(WARM_UP, folder / "warm_up.wav", _WARM_UP_SECONDS),
        )
        return await _compared(bench, "overhead", folder, plan, limit=None)


async def _compared(bench: Bench, key: str, folder: Path, plan: _Plan, limit: float | None) -> Row:
    turns = Turns(key)
    pipelines: list[_Asked] = []
    scripts: list[BareDone] = []
    script_others: list[float] = []
    pairs = 1 if bench.quick else _PAIRS
    while len(scripts) < pairs and (len(scripts) < 2 or turns.seconds < _ENOUGH_SECONDS):
        number = len(scripts) + 1
        settings = bench.settings(folder / f"home{number}", plan.llm)
        turns.say(f"pipeline, turn {number}")
        pipelines.append(await _pipeline(settings, plan))
        turns.say(f"bare script, turn {number}")
        done, others = await _bare(settings, plan, pipelines[-1], folder)
        scripts.append(done)
        script_others.append(others)
    ours = Series(name="pipeline", unit="s", values=tuple(p.seconds for p in pipelines))
    bare = Series(name="bare script", unit="s", values=tuple(s.seconds for s in scripts))
    disturbed = (
        _shares("pipeline: machine taken by others", [p.others for p in pipelines]),
        _shares("bare script: machine taken by others", script_others),
    )
    quotient = ratio("pipeline ÷ bare script", ours, bare, limit)
    doubt = doubt_of(quotient.low, [*(p.others for p in pipelines), *script_others])
    return Row(
        key=key,
        figures=(
            quotient.model_copy(update={"doubt": doubt}),
            difference("pipeline less bare script", ours, bare, "s").model_copy(
                update={"doubt": doubt}
            ),
        ),
        series=(ours, bare, *disturbed, *_beside(pipelines, scripts)),
        notes=tuple(_notes(pipelines)),
    )


def doubt_of(least: float, others: Sequence[float]) -> str | None:
    """Why a comparison is no result; None where nothing speaks against it.

    Args:
        least: the least ratio of pipeline to script in any turn.
        others: the share of the machine that others took, for each side of each turn.
    """
    if least < _LEAST:
        return (
            f"in one turn the pipeline took {least:.2f} of the time of a script that does less, so "
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
        load = Load()
        done = await home.process(JobType.PIPELINE, plan.recording, plan.config, plan.slots)
        others = load.of_others()
        return _Asked(
            seconds=done.seconds,
            calls=await calls_since(settings, done.began),
            warm_calls=warm_calls,
            metrics=await home.metrics(done.job_id),
            others=others,
        )


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
    ]


def _notes(pipelines: Sequence[_Asked]) -> list[str]:
    last = pipelines[-1]
    speech = last.metrics["transcribe"]
    counts = ", ".join(str(len(asked.calls)) for asked in pipelines)
    groups = len(waves(last.calls))
    diarizer = recorded(speech, "diarization_seconds")
    again = recorded(speech, "chunks_redecoded")
    return [
        f"Calls by turn: {counts}; the last turn's in {groups} groups that waited for each other.",
        (
            f"Only the pipeline, in its last turn: {diarizer:.1f} s of the diarizer in all its "
            f"threads together, {again:.0f} chunks decoded more than once."
        ),
    ]


async def _source(bench: Bench, folder: Path) -> Path:
    if bench.quick:
        return await _clip("interview", folder / "clip.wav", _QUICK_SECONDS)
    return recording("interview")


async def _clip(name: str, target: Path, seconds: float) -> Path:
    await asyncio.to_thread(joined, [recording(name)], target, seconds)
    return target
