"""A doubtful chunk is decoded in other ways, in their order, and the best answer is kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from stope.audio.decode import Audio
from stope.errors import ChunkUndecodableError, ProviderUnavailableError, StopeError
from stope.identity import digest_bytes
from stope.models.audio import SAMPLE_RATE, Chunk, ChunkPlan
from stope.models.transcript import ChunkTranscript, FlagKind
from stope.speech.assemble import assemble_transcript
from stope.speech.hearing import hear
from stope.speech.recognition import Recognition
from stope.speech.scripted import ScriptedTranscriber
from stope.speech.sound import Sound
from stope.speech.transcriber import Way
from tests.memory import MemoryUnitStore

LOOP = "I do not know " * 6
GOOD = "Norway is a very cold country and about sixty percent of its homes have heat pumps today"
OTHER_LOOP = "we all see it " * 6


def noise(seconds: float, seed: int = 1) -> Audio:
    dice = np.random.default_rng(seed)
    samples = dice.integers(-3000, 3000, round(seconds * SAMPLE_RATE))
    return (samples / 32768).astype(np.float32)


def digest(audio: Audio) -> str:
    return digest_bytes(np.rint(audio * 32768).astype("<i2").tobytes())


AUDIO = noise(8)
CUT = Sound(AUDIO).quiet_sample()
FIRST, SECOND = digest(AUDIO[:CUT]), digest(AUDIO[CUT:])


@pytest.fixture(autouse=True)
def speech_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunks here are noise; what is tested takes it for speech."""

    def probabilities(blocks: list[Audio]) -> object:
        return np.full(-(-blocks[0].size // 512), 0.9, np.float32)

    monkeypatch.setattr("stope.speech.sound.speech_probabilities", probabilities)


def engine_of(
    answers: Mapping[tuple[str, Way], str],
    *ways: Way,
    errors: Mapping[str, StopeError] | None = None,
) -> ScriptedTranscriber:
    return ScriptedTranscriber(errors, answers=answers, ways=ways)


class Kept:
    """What was kept, in order."""

    def __init__(self) -> None:
        self.answers: dict[Way, ChunkTranscript] = {}

    async def __call__(self, way: Way, answer: ChunkTranscript) -> None:
        self.answers[way] = answer


async def heard(
    engine: ScriptedTranscriber, kept: Mapping[Way, ChunkTranscript] | None = None
) -> tuple[ChunkTranscript, Kept]:
    keep = Kept()
    return await hear(engine, AUDIO, "en", kept=kept or {}, keep=keep), keep


def text_of(transcript: ChunkTranscript) -> str:
    return " ".join(word.text for utterance in transcript.utterances for word in utterance)


async def test_a_good_answer_is_not_asked_for_again() -> None:
    engine = engine_of({(digest(AUDIO), Way.PLAIN): GOOD}, Way.TIMESTAMPS, Way.NO_REPEAT)
    transcript, kept = await heard(engine)
    assert [way for _, _, way in engine.asked] == [Way.PLAIN]
    assert (transcript.attempts, transcript.flags, kept.answers) == (1, (), {})


async def test_a_loop_is_mended_by_its_halves() -> None:
    engine = engine_of(
        {
            (digest(AUDIO), Way.PLAIN): LOOP,
            (FIRST, Way.PLAIN): "Norway is a very cold country",
            (SECOND, Way.PLAIN): "and sixty percent of its homes have pumps",
        }
    )
    transcript, _ = await heard(engine)
    assert text_of(transcript) == (
        "Norway is a very cold country and sixty percent of its homes have pumps"
    )
    assert (transcript.attempts, transcript.flags) == (2, ())
    times = [w.start for u in transcript.utterances for w in u if w.start is not None]
    assert times == sorted(times)
    assert times[6] == pytest.approx(CUT / SAMPLE_RATE, abs=0.01)
    assert times[-1] < 8


async def test_halves_that_loop_too_confirm_a_loop_and_nothing_else_is_tried() -> None:
    engine = engine_of(
        {
            (digest(AUDIO), Way.PLAIN): LOOP,
            (FIRST, Way.PLAIN): LOOP,
            (SECOND, Way.PLAIN): LOOP,
        },
        Way.TIMESTAMPS,
        Way.NO_REPEAT,
    )
    transcript, _ = await heard(engine)
    assert text_of(transcript) == LOOP.strip()
    assert transcript.attempts == 2
    assert [flag.kind for flag in transcript.flags] == [FlagKind.LOOP]


async def test_a_way_that_cannot_decode_is_passed_over() -> None:
    engine = engine_of(
        {(digest(AUDIO), Way.PLAIN): LOOP, (digest(AUDIO), Way.TIMESTAMPS): GOOD},
        Way.TIMESTAMPS,
        errors={FIRST: ChunkUndecodableError("no")},
    )
    transcript, _ = await heard(engine)
    assert text_of(transcript) == GOOD


async def test_an_answer_with_a_loop_never_replaces_one_without() -> None:
    engine = engine_of(
        {
            (digest(AUDIO), Way.PLAIN): "one two",
            (FIRST, Way.PLAIN): OTHER_LOOP,
            (SECOND, Way.PLAIN): OTHER_LOOP,
        }
    )
    transcript, _ = await heard(engine)
    assert text_of(transcript) == "one two"
    assert [flag.kind for flag in transcript.flags] == [FlagKind.SPEECH_WITHOUT_TEXT]


async def test_a_crash_between_two_ways_pays_for_neither_again() -> None:
    store = MemoryUnitStore()
    chunk = Chunk(id="chunk_0001", start_sample=0, end_sample=AUDIO.size, digest=digest(AUDIO))

    async def read(_chunk: Chunk) -> Audio:
        return AUDIO

    answers = {(digest(AUDIO), Way.PLAIN): LOOP, (digest(AUDIO), Way.TIMESTAMPS): GOOD}
    down = engine_of(answers, Way.TIMESTAMPS, errors={FIRST: ProviderUnavailableError("down")})
    with pytest.raises(ProviderUnavailableError):
        await Recognition(down, store, "", read).hear(chunk, "en")
    up = engine_of(answers, Way.TIMESTAMPS, errors={FIRST: ChunkUndecodableError("no")})
    transcript = await Recognition(up, store, "", read).hear(chunk, "en")
    assert text_of(transcript) == GOOD
    assert [(sound, way) for sound, _, way in up.asked] == [
        (FIRST, Way.PLAIN),
        (digest(AUDIO), Way.TIMESTAMPS),
    ]
    assert transcript.attempts == 2


async def test_flags_of_chunks_become_flags_of_the_recording() -> None:
    loops = {(part, Way.PLAIN): LOOP for part in (digest(AUDIO), FIRST, SECOND)}
    engine = engine_of(loops)
    flagged, _ = await heard(engine)
    [flag] = flagged.flags
    good = engine_of({(digest(AUDIO), Way.PLAIN): GOOD})
    clean, _ = await heard(good)
    plan = ChunkPlan(
        samples=40 * SAMPLE_RATE,
        chunks=tuple(
            Chunk(
                id=name,
                start_sample=start * SAMPLE_RATE,
                end_sample=(start + 8) * SAMPLE_RATE,
                digest="0",
            )
            for name, start in (("a", 0), ("gap", 10), ("b", 20))
        ),
    )
    transcript = assemble_transcript(plan, {"a": clean, "b": flagged}, "en")
    [moved] = transcript.flags
    assert (moved.start, moved.end) == (20 + flag.start, 20 + flag.end)
    assert flag.first_word is not None
    assert moved.first_word == len(GOOD.split()) + flag.first_word
    assert moved.end_word == len(transcript.words)
