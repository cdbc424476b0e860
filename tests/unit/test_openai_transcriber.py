"""What a transcription server says becomes words with times that can be true, and none is lost."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx2
import numpy as np
import pytest
from openai import AsyncOpenAI

from stope.audio.decode import Audio
from stope.engines import Engines
from stope.errors import UsageError
from stope.models.audio import SAMPLE_RATE
from stope.models.transcript import ChunkTranscript, FlagKind, Word
from stope.settings import Settings
from stope.speech.openai_transcriber import OpenAITranscriber
from stope.speech.spec import remote_model
from stope.speech.word_times import TimedText, time_words

SECONDS = 20.0
AUDIO: Audio = np.zeros(round(SECONDS * SAMPLE_RATE), np.float32)


async def heard(body: dict[str, object], language: str | None = "en") -> ChunkTranscript:
    """What an answer becomes."""
    transcriber = OpenAITranscriber(
        label="openai:whisper-1",
        model="whisper-1",
        identity="openai:whisper-1",
        base_url="http://test/v1",
        api_key="k",
        parallel=1,
        timeout=5,
    )

    def respond(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, text=json.dumps(body))

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    transcriber._client = AsyncOpenAI(
        base_url="http://test/v1", api_key="k", max_retries=0, http_client=http
    )
    try:
        return await transcriber.transcribe(AUDIO, language)
    finally:
        await transcriber.close()


def words_of(transcript: ChunkTranscript) -> list[Word]:
    words = [word for utterance in transcript.utterances for word in utterance]
    times = [time for word in words for time in (word.start, word.end) if time is not None]
    assert len(times) == 2 * len(words)
    assert all(before <= after for before, after in pairwise(times))
    assert all(0 <= time <= SECONDS for time in times)
    return words


async def test_words_keep_the_punctuation_of_the_text_and_the_times_of_the_list() -> None:
    transcript = await heard(
        {
            "text": "Hello, world. It costs $7,500.",
            "words": [
                {"word": "Hello", "start": 0.5, "end": 0.9},
                {"word": "world", "start": 1.0, "end": 1.4},
                {"word": "It", "start": 3.0, "end": 3.1},
                {"word": "costs", "start": 3.2, "end": 3.5},
                {"word": "7", "start": 3.6, "end": 3.8},
                {"word": "500", "start": 3.9, "end": 4.6},
            ],
        }
    )
    words = words_of(transcript)
    assert [word.text for word in words] == ["Hello,", "world.", "It", "costs", "$7,500."]
    assert [word.start for word in words[:4]] == [0.5, 1.0, 3.0, 3.2]
    assert words[4].start is not None
    assert words[4].start >= 3.5
    assert [len(utterance) for utterance in transcript.utterances] == [2, 3]


async def test_without_words_those_of_a_segment_are_spread_over_it_by_length() -> None:
    transcript = await heard(
        {
            "text": "Be quick. Extraordinarily so.",
            "segments": [
                {"start": 2.0, "end": 4.0, "text": " Be quick.", "avg_logprob": -0.1},
                {"start": 10.0, "end": 14.0, "text": " Extraordinarily so."},
            ],
        }
    )
    be, quick, extraordinarily, so = words_of(transcript)
    assert (be.start, quick.end) == (2.0, 4.0)
    assert (be.end, quick.start) == (2.5, 2.5)
    assert (extraordinarily.start, so.end) == (10.0, 14.0)
    assert be.probability == pytest.approx(0.9048)
    assert so.probability is None
    assert transcript.flags == ()


async def test_a_text_without_any_times_is_spread_and_flagged() -> None:
    transcript = await heard({"text": "We said all of this today."})
    words = words_of(transcript)
    assert (words[0].start, words[-1].end) == (0.0, SECONDS)
    [flag] = transcript.flags
    assert (flag.kind, flag.first_word, flag.end_word) == (FlagKind.LOW_CONFIDENCE, 0, 6)


async def test_segments_that_leave_words_out_do_not_shorten_the_text() -> None:
    transcript = await heard(
        {
            "text": "One two three four.",
            "segments": [{"start": 0.0, "end": 2.0, "text": "One two"}],
        }
    )
    assert [word.text for word in words_of(transcript)] == ["One", "two", "three", "four."]


@pytest.mark.parametrize("text", ["", "   "])
async def test_nothing_said_is_no_word(text: str) -> None:
    assert words_of(await heard({"text": text, "words": [], "segments": []})) == []


@pytest.mark.parametrize(
    ("said", "asked", "found"),
    [("german", None, "de"), ("klingon", None, "und"), ("german", "en", "en")],
)
async def test_the_language_is_what_was_asked_for_or_what_the_server_heard(
    said: str, asked: str | None, found: str
) -> None:
    assert (await heard({"text": "Ja.", "language": said}, asked)).language == found


def test_one_absurd_time_costs_only_its_own_word() -> None:
    starts = {"a": 1, "b": 2, "c": 19, "d": 3, "e": 4}
    hints = [TimedText(text, start, start + 0.4) for text, start in starts.items()]
    words, known = time_words([TimedText("a b c d e", 0, 20)], hints, 20)
    assert [word.start for word in words] == [1, 2, pytest.approx(2.4), 3, 4]
    assert known == [True, True, False, True, True]


def test_a_text_without_spaces_takes_the_words_of_the_list() -> None:
    hints = [TimedText(letter, index, index + 1) for index, letter in enumerate("热泵很好")]
    words, known = time_words([TimedText("热泵很好。", 0, 20)], hints, 20)
    assert [word.text for word in words] == ["热", "泵", "很", "好"]
    assert all(known)


@pytest.mark.parametrize("name", ["tiny.en", "small", "org/model", "/models/mine", "./a"])
def test_a_name_or_a_folder_is_not_on_a_server(name: str) -> None:
    assert remote_model(name) is None


@pytest.mark.parametrize("name", ["openai:whisper-1", "https://host/v1#whisper-large"])
def test_a_model_on_a_server_is_named_as_a_language_model_is(name: str) -> None:
    assert str(remote_model(name)) == name


@pytest.mark.parametrize(
    "name",
    ["openai:", "ollama:whisper", "embedded:tiny.en", "http://h/v1", "https://#m", "gpt:x"],
)
def test_another_name_is_refused_with_the_forms_to_give(name: str) -> None:
    with pytest.raises(UsageError, match=r"openai:whisper-1 or https://host/v1#model"):
        remote_model(name)


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="STOPE_ASR_API_KEY") as caught:
        remote_model("https://me:hunter2@host/v1#m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "identity", "key"),
    [
        (
            "openai:whisper-1",
            {"OPENAI_API_KEY": "k-openai", "asr_api_key": "k-asr"},
            "openai:whisper-1",
            "k-openai",
        ),
        (
            "openai:whisper-1",
            {"OPENAI_BASE_URL": "http://near/v1/"},
            "openai:whisper-1@http://near/v1",
            "none",
        ),
        (
            "http://near/v1#w",
            {"OPENAI_API_KEY": "k-openai", "asr_api_key": "k-asr"},
            "http://near/v1#w",
            "k-asr",
        ),
        ("http://near/v1#w", {"OPENAI_API_KEY": "k-openai"}, "http://near/v1#w", "none"),
    ],
)
async def test_each_server_gets_its_own_key_and_no_other(
    name: str,
    settings: dict[str, str],
    identity: str,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "STOPE_ASR_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    engines = Engines(Settings.model_validate(settings))
    transcriber = await engines.transcriber(name)
    assert isinstance(transcriber, OpenAITranscriber)
    assert transcriber.identity["model"] == identity
    assert transcriber._client.api_key == key
    assert key not in json.dumps(dict(transcriber.identity))
    assert await engines.transcriber(name) is transcriber
    await engines.close()


async def test_openai_without_a_key_says_which_variable_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        await Engines(Settings()).transcriber("openai:whisper-1")
