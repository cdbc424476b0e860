"""The bare script: the same speech recognition and the same calls, and nothing kept.

What somebody would write who wants the answers once: decode the recording, recognise its chunks,
ask the language model, all in one process with the same engines and as many at once. No plan, no
records, no ledger, no server; no speakers, no classifier, no report. A crash loses everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from faster_whisper import decode_audio

from benchmarks.bench.child import serve
from stope.engines import Engines
from stope.llm.chat import ChatAnswer, ChatRequest
from stope.models.audio import SAMPLE_RATE
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.models.transcript import ChunkTranscript
from stope.settings import load_settings

T = TypeVar("T")


class BareWork(Frozen):
    """What the script is given: the chunks as samples ``[start, end)``, and the calls in waves."""

    recording: Path
    language: str
    chunks: tuple[tuple[int, int], ...]
    waves: tuple[tuple[ChatRequest, ...], ...]
    slots: int | None = None


class BareDone(Frozen):
    """What it took. ``seconds`` is all of it, with every model loaded before."""

    seconds: float
    speech_seconds: float
    completion_tokens: int


class BareScript:
    """Keeps its models between two pieces of work, as a worker does."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._engines = Engines(self._settings)

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One piece of work, timed."""
        work = BareWork.model_validate(request)
        engine = await self._engines.transcriber(self._settings.asr)
        model = await self._engines.chat(self._settings.llm)

        began = time.perf_counter()
        sound = await asyncio.to_thread(
            decode_audio, str(work.recording), sampling_rate=SAMPLE_RATE
        )

        async def hear(span: tuple[int, int]) -> ChunkTranscript:
            return await engine.transcribe(sound[span[0] : span[1]], work.language)

        await at_most(engine.parallel, hear, work.chunks)
        heard = time.perf_counter()
        answers: list[ChatAnswer] = []
        for wave in work.waves:
            answers += await at_most(work.slots or model.parallel, model.complete, wave)
        ended = time.perf_counter()
        return BareDone(
            seconds=ended - began,
            speech_seconds=heard - began,
            completion_tokens=sum(answer.completion_tokens or 0 for answer in answers),
        ).model_dump(mode="json")


Item = TypeVar("Item")


async def at_most(slots: int, do: Callable[[Item], Awaitable[T]], items: Iterable[Item]) -> list[T]:
    """Do something with every item, begun in their order, so many at once."""
    free = asyncio.Semaphore(slots)

    async def one(item: Item) -> T:
        async with free:
            return await do(item)

    return list(await asyncio.gather(*map(one, items)))


if __name__ == "__main__":
    serve(BareScript())
