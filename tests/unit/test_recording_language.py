"""The language of a recording is decided once, stored, and the same for every chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError, UsageError, WorkerDrainingError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan
from stope.models.transcript import ChunkTranscript, LanguageGuess, Word
from stope.speech.language import check_language, clear_chunks, likeliest, recording_language
from stope.speech.languages import language_code
from stope.speech.recognition import Recognition
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.transcriber import Way
from tests.memory import MemoryUnitStore

MANY = frozenset({"en", "de", "nl"})


def audio_of(chunk: Chunk) -> Audio:
    dice = np.random.default_rng(chunk.start_sample)
    samples = dice.integers(-3000, 3000, chunk.end_sample - chunk.start_sample)
    return (samples / 32768).astype(np.float32)


async def read(chunk: Chunk) -> Audio:
    return audio_of(chunk)


def plan_of(*seconds: float) -> ChunkPlan:
    chunks: list[Chunk] = []
    at = 0
    for number, length in enumerate(seconds, start=1):
        end = at + round(length * SAMPLE_RATE)
        chunk = Chunk(id=f"chunk_{number:04d}", start_sample=at, end_sample=end, digest="")
        samples = np.rint(audio_of(chunk) * 32768).astype("<i2").tobytes()
        chunks.append(chunk.model_copy(update={"digest": digest_bytes(samples)}))
        at = end
    return ChunkPlan(samples=at, chunks=tuple(chunks))


def guess(**probabilities: float) -> LanguageGuess:
    return LanguageGuess(probabilities=probabilities)


def engine_of(
    plan: ChunkPlan,
    guesses: Sequence[LanguageGuess],
    languages: frozenset[str] | None = MANY,
) -> ScriptedTranscriber:
    return ScriptedTranscriber(
        guesses={chunk.digest: one for chunk, one in zip(plan.chunks, guesses, strict=False)},
        languages=languages,
    )


async def language_of(
    engine: ScriptedTranscriber, plan: ChunkPlan, store: MemoryUnitStore, namespace: str = ""
) -> str | None:
    recognition = Recognition(engine, store, namespace, read)
    return await recording_language(recognition, plan, asyncio.Event())


async def test_the_mean_over_chunks_decides_and_not_the_first_chunk() -> None:
    plan = plan_of(10, 10, 10)
    engine = engine_of(plan, [guess(en=0.9, de=0.1), guess(de=0.8, en=0.2), guess(de=0.7, nl=0.3)])
    assert await language_of(engine, plan, MemoryUnitStore()) == "de"


async def test_a_resumed_recording_goes_on_in_the_stored_language_without_listening() -> None:
    plan, store = plan_of(10, 10), MemoryUnitStore()
    assert await language_of(engine_of(plan, [guess(de=1.0)] * 2), plan, store) == "de"
    later = engine_of(plan, [guess(en=1.0)] * 2)
    assert await language_of(later, plan, store) == "de"
    assert later.guessed == []
    assert await language_of(later, plan, store, namespace="forced") == "en"


async def test_a_crash_among_the_guesses_repeats_none_of_them() -> None:
    plan, store = plan_of(10, 10), MemoryUnitStore()
    engine = engine_of(plan, [guess(de=1.0)] * 2)
    recognition = Recognition(engine, store, "", read)
    first = plan.chunks[0]
    store.outputs[recognition.guess_key(first)] = guess(nl=1.0).model_dump_json()
    await language_of(engine, plan, store)
    assert engine.guessed == [plan.chunks[1].digest]


async def test_an_engine_of_one_language_is_not_asked_and_silence_has_none() -> None:
    plan, store = plan_of(10), MemoryUnitStore()
    english = engine_of(plan, [guess(de=1.0)], frozenset({"en"}))
    assert await language_of(english, plan, store) == "en"
    assert english.guessed == []
    assert store.plans == {}
    assert await language_of(engine_of(plan, []), plan_of(), store) is None


async def test_a_chunk_that_cannot_be_decoded_does_not_stop_the_others() -> None:
    plan = plan_of(10, 10)

    class Deaf(ScriptedTranscriber):
        async def detect_language(self, audio: Audio) -> LanguageGuess:
            found = await super().detect_language(audio)
            if len(self.guessed) == 1:
                raise ChunkUndecodableError("no")
            return found

    engine = Deaf(guesses={chunk.digest: guess(nl=1.0) for chunk in plan.chunks}, languages=MANY)
    assert await language_of(engine, plan, MemoryUnitStore()) == "nl"


async def test_a_leaving_worker_decides_nothing() -> None:
    plan, store = plan_of(10), MemoryUnitStore()
    draining = asyncio.Event()
    draining.set()
    recognition = Recognition(engine_of(plan, []), store, "", read)
    with pytest.raises(WorkerDrainingError):
        await recording_language(recognition, plan, draining)
    assert store.plans == {}


async def test_a_transcription_that_told_the_language_is_not_paid_for_again() -> None:
    plan, store = plan_of(10, 10, 10), MemoryUnitStore()

    def transcribed(language: str) -> LanguageGuess:
        text = "wir reden heute lange und gern von einer neuen pumpe im alten haus"
        words = tuple(
            Word(text=word, start=index * 0.75, end=index * 0.75 + 0.7, probability=0.9)
            for index, word in enumerate(text.split())
        )
        heard = ChunkTranscript(language=language, utterances=(words,), engine_seconds=1)
        return LanguageGuess(probabilities={language: 1.0}, transcript=heard)

    engine = engine_of(plan, [transcribed("de"), transcribed("en"), transcribed("de")], None)
    recognition = Recognition(engine, store, "", read)
    language = await recording_language(recognition, plan, asyncio.Event())
    assert language == "de"
    heard = [await recognition.hear(chunk, language) for chunk in plan.chunks]
    assert {item.language for item in heard} == {"de"}
    assert [(digest, asked, way) for digest, asked, way in engine.asked] == [
        (plan.chunks[1].digest, "de", Way.PLAIN)
    ]


def test_the_chunks_listened_to_are_long_ones_from_all_over() -> None:
    assert [chunk.id for chunk in clear_chunks(plan_of(*[12] * 50).chunks)] == [
        "chunk_0006",
        "chunk_0016",
        "chunk_0026",
        "chunk_0036",
        "chunk_0046",
    ]
    mixed = clear_chunks(plan_of(3, 12, 2, 15).chunks)
    assert [chunk.id for chunk in mixed] == ["chunk_0002", "chunk_0004"]
    short = clear_chunks(plan_of(1, 2, 3, 2, 1, 4, 5).chunks)
    assert [chunk.id for chunk in short] == [f"chunk_000{number}" for number in (2, 3, 4, 6, 7)]


def test_equal_languages_are_taken_in_the_order_of_their_codes() -> None:
    found = likeliest({"b": guess(nl=0.5, de=0.5), "a": guess(de=0.5, nl=0.5)})
    assert (found.language, found.probability, found.chunks) == ("de", 0.5, ("b", "a"))
    assert likeliest({"a": guess()}).language == "und"


def test_a_language_that_the_engine_does_not_know_is_refused() -> None:
    recognition = Recognition(ScriptedTranscriber(), MemoryUnitStore(), "", read)
    check_language(recognition, "tiny.en", "en")
    check_language(recognition, "tiny.en", None)
    with pytest.raises(UsageError, match=r"tiny\.en does not know the language 'de'"):
        check_language(recognition, "tiny.en", "de")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("english", "en"),
        ("English", "en"),
        ("en", "en"),
        ("pt-BR", "pt"),
        ("haitian creole", "ht"),
        ("klingon", None),
        ("", None),
    ],
)
def test_a_language_is_known_by_name_or_code(said: str, code: str | None) -> None:
    assert language_code(said) == code


def test_every_language_of_whisper_is_known() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert {language_code(code) for code in _LANGUAGE_CODES} == set(_LANGUAGE_CODES)
