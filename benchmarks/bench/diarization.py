"""Diarization against recognition, both in the same runs of the stage."""

from __future__ import annotations

import asyncio

from benchmarks.bench.audio import joined
from benchmarks.bench.bench import SPOKEN, WARM_UP, Bench, Turns, recording
from benchmarks.bench.child import started
from benchmarks.bench.measure import Row, Series, ratio, recorded
from benchmarks.bench.stage import StageDone

LIMIT = 0.5

_TURNS = 5
_WARM_UP_SECONDS = 20.0


async def measure(bench: Bench) -> Row:
    """One process that runs the stage with speakers, its models loaded."""
    with bench.row("diarization") as folder:
        turns = Turns("diarization")
        names = SPOKEN[:1] if bench.quick else SPOKEN
        sound, warm_up = folder / "speech.wav", folder / "warm_up.wav"
        seconds = await asyncio.to_thread(joined, [recording(name) for name in names], sound)
        await asyncio.to_thread(joined, [recording(WARM_UP)], warm_up, _WARM_UP_SECONDS)
        done: list[StageDone] = []
        settings = bench.settings(folder / "home")
        async with started("benchmarks.bench.stage", settings, folder / "stage.log") as stage:
            await stage.ask({"recording": str(warm_up), "diarize": "required"})
            for number in range(1, (1 if bench.quick else _TURNS) + 1):
                turns.say(f"turn {number}")
                answer = await stage.ask({"recording": str(sound), "diarize": "required"})
                done.append(StageDone.model_validate(answer))
    speakers = Series(name="diarization", unit="s", values=tuple(d.diarizing for d in done))
    speech = Series(name="recognition", unit="s", values=tuple(d.recognising for d in done))
    engine_speakers = _engine("diarization_seconds", "diarizer, all threads together", done)
    engine_speech = _engine("engine_seconds", "recognizer, all threads together", done)
    return Row(
        key="diarization",
        figures=(
            ratio("diarization ÷ recognition, wall time", speakers, speech, LIMIT),
            ratio("diarizer ÷ recognizer, as the run records them", engine_speakers, engine_speech),
        ),
        series=(speakers, speech, engine_speakers, engine_speech),
        notes=(f"{seconds / 60:.1f} minutes of speech.",),
    )


def _engine(metric: str, name: str, done: list[StageDone]) -> Series:
    return Series(
        name=name, unit="s", values=tuple(recorded(item.metrics, metric) for item in done)
    )
