"""Sound that makes the real recognizer invent: it is noticed, heard another way, and flagged.

tiny.en writes "you" over noise, a sentence over a tone and "Thank you" over music. None of them
may come out of a chunk as if it had been said.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stope.audio.decode import Audio, as_float, decode_to_scratch, read_window
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, FlagKind
from stope.models_cache import CATALOGUE, ModelsCache
from stope.settings import load_settings
from stope.speech.hearing import hear
from stope.speech.transcriber import Transcriber, Way

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whisper() -> Transcriber:
    from stope.speech.whisper import WhisperTranscriber

    settings = load_settings()
    folder = ModelsCache(settings.models, settings.hub_timeout).ensure(CATALOGUE["tiny.en"])
    return WhisperTranscriber(folder, "tiny.en", threads=2)


@pytest.fixture(scope="module")
def speech(interview: Path, tmp_path_factory: pytest.TempPathFactory) -> Audio:
    """The first half minute of the example."""
    scratch = tmp_path_factory.mktemp("scratch") / "interview.s16"
    decode_to_scratch(interview, scratch)
    return as_float(read_window(scratch, 0, 30 * SAMPLE_RATE))


def ramp(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def noise(seconds: float, level: float) -> Audio:
    dice = np.random.default_rng(0)
    return dice.normal(0, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


def tone(seconds: float) -> Audio:
    return (0.3 * np.sin(2 * np.pi * 440 * ramp(seconds))).astype(np.float32)


def music(seconds: float) -> Audio:
    """Plucked notes of four partials, four in a second."""
    dice = np.random.default_rng(3)
    sound = noise(seconds, 0.01).astype(np.float64)
    pluck = ramp(0.6)
    for at in range(0, sound.size, SAMPLE_RATE // 4):
        pitch = 220 * 2 ** (int(dice.integers(0, 24)) / 12)
        note = np.exp(-4 * pluck) * sum(
            np.sin(2 * np.pi * pitch * partial * pluck) / partial for partial in (1, 2, 3, 4)
        )
        sound[at : at + note.size] += 0.15 * note[: sound.size - at]
    return np.clip(sound, -1, 1).astype(np.float32)


async def heard(
    engine: Transcriber, audio: Audio
) -> tuple[ChunkTranscript, dict[Way, ChunkTranscript]]:
    """The answer, and every way's answer where it was doubtful."""
    kept: dict[Way, ChunkTranscript] = {}

    async def keep(way: Way, answer: ChunkTranscript) -> None:
        kept[way] = answer

    return await hear(engine, audio, "en", kept={}, keep=keep), kept


def text_of(transcript: ChunkTranscript) -> str:
    return " ".join(word.text for utterance in transcript.utterances for word in utterance)


@pytest.mark.parametrize("seconds", [2, 10])
async def test_full_stops_over_faint_noise_are_no_words(
    whisper: Transcriber, seconds: float
) -> None:
    transcript, _ = await heard(whisper, noise(seconds, 0.001))
    assert (text_of(transcript), transcript.flags) == ("", ())


@pytest.mark.parametrize(
    "audio",
    [noise(10, 0.1), tone(25), music(8)],
    ids=["noise", "a tone", "music"],
)
async def test_words_over_sound_without_speech_are_taken_back_or_flagged(
    whisper: Transcriber, audio: Audio
) -> None:
    transcript, kept = await heard(whisper, audio)
    assert text_of(kept[Way.PLAIN]) != ""
    assert transcript.attempts > 1
    doubtful = {
        index
        for flag in transcript.flags
        for index in range(flag.first_word or 0, flag.end_word or 0)
    }
    assert len(doubtful) == len(text_of(transcript).split())


async def test_a_phrase_again_and_again_is_kept_and_flagged_as_a_loop(
    whisper: Transcriber, speech: Audio
) -> None:
    phrase = speech[SAMPLE_RATE : 3 * SAMPLE_RATE]
    transcript, kept = await heard(whisper, np.tile(phrase, 13))
    assert text_of(transcript) == text_of(kept[Way.PLAIN])
    assert Way.HALVES in kept
    assert FlagKind.LOOP in {flag.kind for flag in transcript.flags}


async def test_speech_before_a_long_silence_is_whole_and_has_no_flag(
    whisper: Transcriber, speech: Audio
) -> None:
    spoken = speech[SAMPLE_RATE : 6 * SAMPLE_RATE]
    alone, _ = await heard(whisper, spoken)
    transcript, _ = await heard(whisper, np.concatenate([spoken, noise(20, 0.0005)]))
    assert transcript.flags == ()
    assert transcript.attempts == 1
    same = set(text_of(alone).lower().split()) & set(text_of(transcript).lower().split())
    assert len(same) >= 10


async def test_speech_that_noise_drowns_is_flagged(whisper: Transcriber, speech: Audio) -> None:
    drowned = np.clip(speech[2 * SAMPLE_RATE : 20 * SAMPLE_RATE] + noise(18, 0.3), -1, 1)
    transcript, _ = await heard(whisper, drowned.astype(np.float32))
    assert transcript.attempts > 1
    assert transcript.flags != ()
