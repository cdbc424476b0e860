"""Transcribers, the scripted one and the real ones: words in order, inside their chunk.

The real ones, faster-whisper and a server that speaks OpenAI's protocol with faster-whisper behind
it, hear the first chunk of the example recording.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stope.audio.chunks import plan_chunks
from stope.audio.decode import Audio, as_float, decode_to_scratch, read_window
from stope.errors import (
    ChunkUndecodableError,
    ModelFileError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    StopeError,
    UsageError,
)
from stope.models.audio import SAMPLE_RATE, Chunk
from stope.models.transcript import ChunkTranscript, Word
from stope.models_cache import CATALOGUE, ModelsCache
from stope.settings import load_settings
from stope.speech.device import Device, choose_device
from stope.speech.openai_transcriber import OpenAITranscriber
from stope.speech.scripted import MAX_SECONDS, ScriptedTranscriber
from stope.speech.transcriber import Transcriber, Way
from tests.contract.speech_server import KEY, Reply, SpeechServer, serving

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


@pytest.fixture(scope="module")
def tiny() -> Path:
    """The folder of tiny.en."""
    settings = load_settings()
    return ModelsCache(settings.models, settings.hub_timeout).ensure(CATALOGUE["tiny.en"])


@pytest.fixture(scope="module")
def whisper(tiny: Path) -> Transcriber:
    from stope.speech.whisper import WhisperTranscriber

    return WhisperTranscriber(tiny, "tiny.en", threads=2)


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[SpeechServer]:
    with serving(tiny) as speech:
        yield speech


@pytest.fixture
async def served(server: SpeechServer) -> AsyncIterator[OpenAITranscriber]:
    transcriber = client_of(server.base_url)
    yield transcriber
    await transcriber.close()


@pytest.fixture(
    params=[
        "scripted",
        pytest.param("whisper", marks=pytest.mark.slow),
        pytest.param("served", marks=pytest.mark.slow),
    ]
)
def transcriber(request: pytest.FixtureRequest) -> Transcriber:
    if request.param == "scripted":
        return ScriptedTranscriber(ways=tuple(way for way in Way if way is not Way.PLAIN))
    found: Transcriber = request.getfixturevalue(request.param)
    return found


def client_of(base_url: str, key: str = KEY) -> OpenAITranscriber:
    return OpenAITranscriber(
        label=f"{base_url}#tiny.en",
        model="tiny.en",
        identity=f"{base_url}#tiny.en",
        base_url=base_url,
        api_key=key,
        parallel=2,
        timeout=60,
    )


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
    audio = first_chunk[1][: SAMPLE_RATE * 10]
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


async def test_every_way_gives_words_in_order_and_every_time_the_same(
    transcriber: Transcriber, first_chunk: tuple[Chunk, Audio]
) -> None:
    audio = first_chunk[1][: SAMPLE_RATE * 8]
    for way in transcriber.ways:
        once = await transcriber.transcribe(audio, "en", way)
        assert len(words_in(once, audio)) > 3
        if way is not Way.WARMER:  # a server draws lots there
            assert (await transcriber.transcribe(audio, "en", way)).utterances == once.utterances


async def test_english_is_among_the_languages_and_is_recognised(
    transcriber: Transcriber, first_chunk: tuple[Chunk, Audio]
) -> None:
    assert transcriber.languages is None or "en" in transcriber.languages
    if transcriber.languages != {"en"}:
        guess = await transcriber.detect_language(first_chunk[1])
        assert max(guess.probabilities, key=guess.probabilities.__getitem__) == "en"


@pytest.mark.slow
async def test_a_server_hears_what_its_model_hears_where_it_is_said(
    served: Transcriber, whisper: Transcriber, first_chunk: tuple[Chunk, Audio]
) -> None:
    _, audio = first_chunk
    there = words_in(await served.transcribe(audio, "en"), audio)
    here = words_in(await whisper.transcribe(audio, "en", Way.TIMESTAMPS), audio)
    assert [word.text for word in there] == [word.text for word in here]
    for one, other in zip(there, here, strict=True):
        assert one.start == pytest.approx(other.start, abs=0.3)
    assert all(word.probability is not None for word in there)


@pytest.mark.slow
async def test_a_server_is_asked_for_word_times_of_the_samples_as_they_are(
    served: Transcriber, server: SpeechServer, first_chunk: tuple[Chunk, Audio]
) -> None:
    audio = first_chunk[1][: SAMPLE_RATE * 2]
    await served.transcribe(audio, "en")
    upload = server.uploads[-1]
    assert upload.fields == {
        "model": ["tiny.en"],
        "response_format": ["verbose_json"],
        "timestamp_granularities": ["word", "segment"],
        "temperature": ["0.0"],
        "language": ["en"],
    }
    assert upload.file_name == "chunk.wav"
    with wave.open(io.BytesIO(upload.audio)) as stream:
        assert (stream.getframerate(), stream.getnchannels()) == (SAMPLE_RATE, 1)
        sent = np.frombuffer(stream.readframes(stream.getnframes()), "<i2")
    assert np.array_equal(as_float(sent), audio)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (
            Reply(429, '{"error": {"message": "slow down"}}', {"retry-after": "7"}),
            ProviderRateLimitedError,
            "slow down",
        ),
        (Reply(500, '{"error": {"message": "broken"}}'), ProviderUnavailableError, "broken"),
        (Reply(200, '{"text": "cut'), ProviderUnavailableError, "not JSON"),
        (Reply(200, '{"words": []}'), ProviderRejectedError, "text: Field required"),
        (
            Reply(200, "<html>a page</html>", {"content-type": "text/html"}),
            ProviderRejectedError,
            "web page",
        ),
        (
            Reply(400, '{"error": {"message": "no verbose_json"}}'),
            ProviderRejectedError,
            "no verbose_json",
        ),
    ],
    ids=["429", "500", "cut JSON", "no text", "a web page", "400"],
)
@pytest.mark.slow
async def test_a_fault_of_a_server_is_an_error_of_ours_and_never_tried_again_here(
    served: Transcriber,
    server: SpeechServer,
    reply: Reply,
    error: type[StopeError],
    said: str,
) -> None:
    asked = len(server.uploads)
    server.script.append(reply)
    with pytest.raises(error, match=said) as caught:
        await served.transcribe(noise(1), "en")
    assert len(server.uploads) == asked + 1
    assert getattr(caught.value, "retry_after", None) == (7 if reply.status == 429 else None)


@pytest.mark.slow
async def test_a_wrong_key_is_refused_and_not_shown(server: SpeechServer) -> None:
    transcriber = client_of(server.base_url, key="k-wrong")
    with pytest.raises(ProviderRejectedError, match="check the API key") as caught:
        await transcriber.transcribe(noise(1), "en")
    await transcriber.close()
    assert "k-wrong" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        [{"word": "One", "start": 0.2, "end": 0.5}],
        [
            {"word": "One", "start": 0.2, "end": 0.5},
            {"word": "two", "start": 1.9, "end": 1.95},
            {"word": "three", "start": 0.8, "end": 0.9},
            {"word": "four", "start": 1.0, "end": 1.2},
        ],
        [
            {"word": "One", "start": -40, "end": -39},
            {"word": "two", "start": 0.8, "end": 0.9},
            {"word": "three", "start": 1000, "end": 1001},
            {"word": "four", "start": 1.4, "end": 1.2},
        ],
        [],
    ],
    ids=["cut off", "running backwards", "outside the chunk", "none"],
)
@pytest.mark.slow
async def test_odd_word_times_of_a_server_lose_no_word_and_leave_no_chunk(
    served: Transcriber, server: SpeechServer, words: list[dict[str, object]]
) -> None:
    audio = noise(2)
    body = {"text": "One, two, three. Four!", "language": "english", "words": words}
    server.script.append(Reply(200, json.dumps(body)))
    transcript = await served.transcribe(audio, None)
    found = words_in(transcript, audio)
    assert [word.text for word in found] == ["One,", "two,", "three.", "Four!"]
    assert transcript.language == "en"
    [*_, last] = found
    assert last.end is not None
    assert last.end > 0.9


@pytest.mark.slow
async def test_a_multilingual_model_guesses_and_then_decodes_in_the_language_it_is_told(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiny.en stands in for a multilingual model: its answers about languages are scripted."""
    from types import SimpleNamespace

    from stope.speech.whisper import WhisperTranscriber

    found = [("de", 0.9), ("nl", 0.0951), ("en", 0.0049)]
    asked: list[object] = []

    def transcribe(_audio: Audio, *, language: str | None, **_: object) -> tuple[object, object]:
        asked.append(language)
        return iter(()), SimpleNamespace(language=language)

    model = SimpleNamespace(
        model=SimpleNamespace(is_multilingual=True),
        supported_languages=["de", "en", "nl"],
        detect_language=lambda audio: (*found[0], found),
        transcribe=transcribe,
    )
    multilingual = WhisperTranscriber(tiny, "tiny", threads=1)
    monkeypatch.setattr(multilingual, "_model", model)
    assert multilingual.languages == {"de", "en", "nl"}
    guess = await multilingual.detect_language(noise(1))
    assert guess.probabilities == {"de": 0.9, "nl": 0.0951}
    transcript = await multilingual.transcribe(noise(1), "de", Way.TIMESTAMPS)
    assert (asked, transcript.language) == (["de"], "de")


@pytest.mark.parametrize(
    ("supported", "compute_type"),
    [({"float16", "int8_float16", "int8"}, "float16"), ({"int8", "float32"}, "float32")],
)
def test_a_gpu_is_used_when_there_is_one_and_computes_in_what_it_is_fast_at(
    supported: set[str], compute_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", lambda _device: supported)
    for asked in (Device.AUTO, Device.CUDA):
        chosen = choose_device(asked)
        assert (chosen.device, chosen.compute_type) == ("cuda", compute_type)
    assert choose_device(Device.CPU).compute_type == "int8"


@pytest.mark.slow
async def test_a_gpu_that_is_not_there_is_said_to_be_missing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stope.speech.whisper import WhisperTranscriber

    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    with pytest.raises(UsageError, match="no NVIDIA GPU"):
        WhisperTranscriber(tiny, "tiny.en", threads=1, device=Device.CUDA)
    fallen_back = WhisperTranscriber(tiny, "tiny.en", threads=1, device=Device.AUTO)
    assert fallen_back.identity["compute_type"] == "int8"


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
