"""Our ASR stage against faster-whisper's batched pipeline on the whole file."""

from __future__ import annotations

import asyncio
import re

import jiwer

from benchmarks.bench.audio import joined
from benchmarks.bench.bench import SPOKEN, WARM_UP, Bench, Turns, dialogues, recording
from benchmarks.bench.child import started
from benchmarks.bench.measure import Figure, Row, Series, ratio, recorded
from benchmarks.bench.stage import StageDone
from benchmarks.bench.whole_file import WholeFileDone
from benchmarks.eval.speech import normal

TIME_LIMIT = 1.05
ERROR_LIMIT = 0.5

_PAIRS = 5
_WARM_UP_SECONDS = 20.0


async def measure(bench: Bench) -> Row:
    """Two processes that take turns, each with its model loaded."""
    with bench.row("asr") as folder:
        turns = Turns("asr")
        names = SPOKEN[:1] if bench.quick else SPOKEN
        sound, warm_up = folder / "speech.wav", folder / "warm_up.wav"
        seconds = await asyncio.to_thread(joined, [recording(name) for name in names], sound)
        await asyncio.to_thread(joined, [recording(WARM_UP)], warm_up, _WARM_UP_SECONDS)
        said = [mark.sentence for item in dialogues(names) for mark in item.marks]
        ours: list[StageDone] = []
        whole: list[WholeFileDone] = []
        settings = bench.settings(folder / "home")
        async with (
            started("benchmarks.bench.stage", settings, folder / "stage.log") as stage,
            started("benchmarks.bench.whole_file", settings, folder / "whole.log") as batched,
        ):
            await stage.ask({"recording": str(warm_up), "diarize": "off"})
            await batched.ask({"recording": str(warm_up)})
            for number in range(1, (1 if bench.quick else _PAIRS) + 1):
                turns.say(f"turn {number}")
                answer = await stage.ask({"recording": str(sound), "diarize": "off"})
                ours.append(StageDone.model_validate(answer))
                answer = await batched.ask({"recording": str(sound)})
                whole.append(WholeFileDone.model_validate(answer))
    stage_time = Series(name="our stage", unit="s", values=tuple(done.seconds for done in ours))
    whole_time = Series(name="whole file", unit="s", values=tuple(done.seconds for done in whole))
    our_errors = error_rates("our stage: WER", said, [done.text for done in ours])
    whole_errors = error_rates("whole file: WER", said, [done.text for done in whole])
    last = ours[-1].metrics
    return Row(
        key="asr",
        figures=(
            ratio("our stage ÷ whole file, time", stage_time, whole_time, TIME_LIMIT),
            _more(our_errors, whole_errors),
        ),
        series=(
            stage_time,
            whole_time,
            Series(
                name="our stage: recognising",
                unit="s",
                values=tuple(done.recognising for done in ours),
            ),
            our_errors,
            whole_errors,
        ),
        notes=(
            f"{seconds / 60:.1f} minutes of speech, {len(normal(' '.join(said)).split())} words.",
            (
                f"The stage decoded {recorded(last, 'units_done'):.0f} chunks in "
                f"{recorded(last, 'decodings'):.0f} decodings."
            ),
        ),
    )


def error_rates(name: str, said: list[str], heard: list[str]) -> Series:
    """The word error rate of each text in percent, both normalised as OpenAI did for Whisper."""
    truth = " ".join(normal(sentence) for sentence in said)
    return Series(
        name=name,
        unit="%",
        values=tuple(100 * jiwer.wer(truth, _normal_text(text)) for text in heard),
    )


def _normal_text(text: str) -> str:
    # Sentence by sentence, as the script is: numbers on both sides of a full stop stay apart.
    parts = re.split(r"(?<=[.?!])\s+", text)
    return " ".join(" ".join(normal(part) for part in parts).split())


def _more(ours: Series, other: Series) -> Figure:
    found = [one - two for one, two in zip(ours.values, other.values, strict=True)]
    return Figure(
        name="our stage less whole file, WER",
        unit="points",
        value=max(found),
        low=min(found),
        high=max(found),
        limit=ERROR_LIMIT,
    )
