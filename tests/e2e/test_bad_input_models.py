"""Models that are not there, not right, or do not behave.

Proves: a wrong name is a sentence before any work; a provider that is away is waited for and named;
one that refuses, or answers what nobody can use, ends the run with a sentence; weights with a wrong
hash are not loaded; and afterwards the same command succeeds and pays for nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stope.dev_server import DevServer
from stope.settings import Settings
from tests.e2e.conftest import Stope, make_stope, said_until
from tests.e2e.trouble import MoodyLlm, free_port, half_written, one_sentence, speech, write_wav

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def llm() -> Iterator[MoodyLlm]:
    with MoodyLlm() as server:
        yield server


@pytest.fixture(scope="module")
def stope(tmp_path_factory: pytest.TempPathFactory, llm: MoodyLlm, models: Path) -> Iterator[Stope]:
    program = make_stope(tmp_path_factory.mktemp("models") / "home", models, llm.spec)
    yield program
    DevServer(Settings(home=program.home)).stop()


@pytest.fixture(autouse=True)
def good_mood(llm: MoodyLlm) -> None:
    llm.mood = None
    llm.script.calls.clear()


@pytest.fixture
def talk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Three minutes of a transcript, different in every test."""
    path = tmp_path / "talk.txt"
    path.write_text(
        "\n".join(
            f"[{minute:02d}:00] (Ann): In {1900 + minute} the river {request.node.name} rose by "
            f"{minute + 2} metres because of heavy rain and melting snow in the hills."
            for minute in range(3)
        )
    )
    return path


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--llm", "gpt"], ["'gpt' is not a model name", "write embedded:"]),
        (["--llm", "claude:3"], ["the unknown provider 'claude'", "write embedded:"]),
        (["--llm", "ollama:"], ["'ollama:' is not a model name", "write embedded:"]),
        (["--llm", "http://127.0.0.1:8000/v1"], ["a server but no model", "#my-model"]),
        (["--llm", "http:///v1#x"], ["names no host"]),
        (["--llm", "http://me:secret@host/v1#x"], ["carries a user", "STOPE_LLM_API_KEY"]),
        (["--llm", "embedded:none"], ["no embedded model 'none'", "there are: qwen"]),
        (["--flagship-llm", "nobody"], ["'nobody' is not a model name"]),
        (["--asr", "qwen2.5-coder-0.5b-instruct"], ["is not a speech model", "models list"]),
    ],
)
def test_a_wrong_model_name_is_a_sentence_before_any_work(
    stope: Stope, talk: Path, options: list[str], parts: list[str]
) -> None:
    done = stope.here("run", talk, *options)
    assert done.returncode == 2, done.stderr
    sentence = one_sentence(done)
    for part in parts:
        assert part in sentence
    assert "secret" not in sentence
    assert stope.here("jobs", "--json").stdout.strip() in ("[]", "") or str(talk) not in (
        stope.here("jobs", "--json").stdout
    )


def test_an_unknown_speech_model_is_named(stope: Stope, tmp_path: Path, interview: Path) -> None:
    path = write_wav(tmp_path / "talk.wav", speech(interview, 0, 3))
    done = stope("run", path, "--asr", "gigantic")
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    assert "There is no speech model 'gigantic'" in sentence
    assert "tiny.en" in sentence
    assert half_written(stope.home) == []


def test_an_unreachable_provider_is_named_and_waited_for(stope: Stope, talk: Path) -> None:
    port = free_port()
    process = stope.start("run", talk, "--json", "--llm", f"http://127.0.0.1:{port}/v1#moody")
    said = said_until(process, "cannot be reached")
    assert f"waiting (attempt 2): http://127.0.0.1:{port}/v1#moody cannot be reached" in said
    assert "asked again until it can" in said
    with MoodyLlm(port) as late:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out)["status"] == "succeeded"
        assert "Traceback" not in said + err
        assert late.asked
        assert late.paid_twice == []


@pytest.mark.parametrize(
    ("mood", "parts"),
    [
        ("401", ["refused (401): Incorrect API key provided", "check the API key"]),
        ("404", ["refused (404): The model does not exist", "check the model's name"]),
        ("page", ["does not answer as OpenAI's protocol says", "check the base URL"]),
        ("nonsense", ["could be done"]),
        ("truncated", ["could be done", "cut off"]),
    ],
)
def test_a_provider_nobody_can_use_ends_the_run_with_a_sentence(
    stope: Stope, llm: MoodyLlm, talk: Path, mood: str, parts: list[str]
) -> None:
    llm.mood = mood
    done = stope("run", talk)
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    for part in parts:
        assert part in sentence
    assert "go on with" in done.stderr
    assert half_written(stope.home) == []

    llm.mood = None
    again = stope("run", talk, "--json")
    assert again.returncode == 0, again.stderr
    body = json.loads(again.stdout)
    assert body["status"] == "succeeded"
    assert llm.paid_twice == []
    asked = llm.asked
    assert json.loads(stope.here("run", talk, "--json").stdout)["result"] == body["result"]
    assert llm.asked == asked


def test_weights_with_a_wrong_hash_are_not_loaded(
    stope: Stope, tmp_path: Path, models: Path, interview: Path
) -> None:
    mine = tmp_path / "models"
    tampered = mine / "tiny.en" / "model.bin"
    tampered.parent.mkdir(parents=True)
    for path in models.iterdir():
        if path.name != "tiny.en":
            (mine / path.name).symlink_to(path)
    for path in (models / "tiny.en").iterdir():
        (tampered.parent / path.name).write_bytes(path.read_bytes())
    with tampered.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    recording = write_wav(tmp_path / "talk.wav", speech(interview, 0, 3))
    done = stope("run", recording, STOPE_MODELS=str(mine))
    assert done.returncode == 1, done.stderr
    sentence = one_sentence(done)
    assert f"{tampered} is not what its publisher released" in sentence
    assert "delete it and run `stope models pull tiny.en`" in sentence
    assert tampered.is_file()
    assert half_written(stope.home) == []

    tampered.write_bytes((models / "tiny.en" / "model.bin").read_bytes())
    again = stope("run", recording, STOPE_MODELS=str(mine))
    assert again.returncode == 0, again.stderr
