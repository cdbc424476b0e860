"""Transcribers, the scripted one and the real one: words in order, inside their chunk.

The real one hears the first chunk of the example recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stope.audio.chunks import plan_chunks
from stope.audio.decode import Audio, as_float, decode_to_scratch, read_window
from stope.errors import ChunkUndecodableError, ModelFileError
from stope.models.audio import SAMPLE_RATE, Chunk
from stope.models.transcript import ChunkTranscript, Word
from stope.models_cache import CATALOGUE, ModelsCache
from stope.settings import load_settings
from stope.speech.scripted import MAX_SECONDS, ScriptedTranscriber
from stope.speech.transcriber import Transcriber

RECORDING = Path(__file__).parents[2] / "examples" / "interview.opus"


def noise(seconds: float, seed: int = 1) -> Audio:
    """Sound without words, in [-0.1, 0.1]."""
    dice = np.random.default_rng(seed)
    return dice.uniform(-0.1, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def first_chunk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chunk, Audio]:
    scratch = tmp_path_factory.mktemp("scratch") / "interview.s16"
    decode_to_scratch(RECORDING, scratch)
    chunk = plan_chunks(scratch).chunks[0]
    return chunk, as_float(read_window(scratch, chunk.start_sample, chunk.end_sample))


@pytest.fixture(
    scope="module", params=["scripted", pytest.param("whisper", marks=pytest.mark.slow)]
)
def transcriber(request: pytest.FixtureRequest) -> Iterator[Transcriber]:
    if request.param == "scripted":
        yield ScriptedTranscriber()
        return
    from stope.speech.whisper import WhisperTranscriber

    settings = load_settings()
    folder = ModelsCache(settings.models, settings.hub_timeout).ensure(CATALOGUE["tiny.en"])
    yield WhisperTranscriber(folder, "tiny.en", threads=2)


def words_in(transcript: ChunkTranscript, audio: Audio) -> list[Word]:
    """The words of a chunk, with everything that must hold for every engine."""
    words = [word for utterance in transcript.utterances for word in utterance]
    times = [time for word in words for time in (word.start, word.end)]
    assert all(time is not None for time in times)
    assert all(before <= after for before, after in pairwise(times))
    assert not times or 0 <= times[0] <= times[-1] <= audio.size / SAMPLE_RATE
    assert all(word.text and word.text == word.text.strip() for word in words)
    assert all(transcript.utterances)
    return words


async def test_words_stand_in_order_inside_their_chunk(
    transcriber: Transcriber, first_chunk: tuple[Chunk, Audio]
) -> None:
    _, audio = first_chunk
    transcript = await transcriber.transcribe(audio, "en")
    assert len(words_in(transcript, audio)) > 5
    assert transcript.language == "en"


async def test_a_chunk_gives_the_same_words_every_time(
    transcriber: Transcriber, first_chunk: tuple[Chunk, Audio]
) -> None:
    _, audio = first_chunk
    first = await transcriber.transcribe(audio, "en")
    await transcriber.transcribe(audio[: SAMPLE_RATE * 3], "en")
    assert (await transcriber.transcribe(audio, "en")).utterances == first.utterances


@pytest.mark.parametrize("seconds", [0.1, 1.0])
async def test_a_short_chunk_is_no_trouble(transcriber: Transcriber, seconds: float) -> None:
    audio = noise(seconds)
    words_in(await transcriber.transcribe(audio, "en"), audio)


async def test_the_identity_is_plain_and_does_not_change(transcriber: Transcriber) -> None:
    before = json.dumps(dict(transcriber.identity), sort_keys=True)
    await transcriber.transcribe(noise(0.5), "en")
    assert json.dumps(dict(transcriber.identity), sort_keys=True) == before
    assert transcriber.parallel >= 1


@pytest.mark.slow
def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    from stope.speech.whisper import WhisperTranscriber

    with pytest.raises(ModelFileError, match=str(tmp_path)):
        WhisperTranscriber(tmp_path, "none", threads=1)


async def test_other_sound_gives_other_words() -> None:
    transcriber = ScriptedTranscriber()
    one, other = noise(5, seed=1), noise(5, seed=2)
    heard = [await transcriber.transcribe(audio, None) for audio in (one, other, one)]
    assert heard[0] == heard[2] != heard[1]
    assert transcriber.heard[0] == transcriber.heard[2] != transcriber.heard[1]


async def test_an_error_is_scripted_by_the_digest_of_its_chunk(
    first_chunk: tuple[Chunk, Audio],
) -> None:
    chunk, audio = first_chunk
    transcriber = ScriptedTranscriber({chunk.digest: ChunkUndecodableError("no sound")})
    with pytest.raises(ChunkUndecodableError, match="no sound"):
        await transcriber.transcribe(audio, "en")
    assert await transcriber.transcribe(audio[:-1], "en")


@pytest.mark.parametrize(
    "audio",
    [
        noise(1).astype(np.float64),
        noise(1).reshape(2, -1),
        noise(0),
        noise(MAX_SECONDS + 0.1),
        noise(1) * 20,
    ],
    ids=["float64", "two channels", "empty", "too long", "too loud"],
)
async def test_the_scripted_one_refuses_what_the_port_does_not_allow(audio: Audio) -> None:
    with pytest.raises(AssertionError):
        await ScriptedTranscriber().transcribe(audio, "en")
