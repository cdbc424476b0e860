"""The command line with a scripted LLM over HTTP: joining, resuming, errors and exit codes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Stope, make_stope
from tests.resume.scripted_llm import FLAGSHIP, ScriptedLlm
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as server:
        yield server


@pytest.fixture
def stope(tmp_path: Path, llm: ScriptedLlm, models: Path) -> Iterator[Stope]:
    program = make_stope(tmp_path / "home", models, llm.spec())
    yield program
    llm.release()
    program("down")


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk one.txt"
    lines = [
        f"[{minute:02d}:00] (Ann): In {1900 + minute} the river rose by {minute} metres. "
        f"Rain in the hills of region {minute} makes the river rise. "
        + "It carried stones, trees and a great deal of mud down to the old harbour. "
        * 8
        for minute in range(16)
    ]
    path.write_text("\n".join(lines))
    return path


def test_only_what_changed_is_done_again(stope: Stope, llm: ScriptedLlm, talk: Path) -> None:
    first = json.loads(stope("run", talk, "--json").stdout)
    mined, judged = llm.total("mine"), llm.total("judge")
    evaluated = sum(llm.total(kind) for kind in FLAGSHIP)
    assert mined > 1
    assert judged > 1

    assert json.loads(stope("run", talk, "--json").stdout)["result"] == first["result"]
    assert (llm.total("mine"), llm.total("judge")) == (mined, judged)

    other = stope("run", talk, "--json", "--flagship-llm", llm.spec("other"))
    assert other.returncode == 0, other.stderr
    assert llm.total("mine") == mined
    assert llm.models["other"] == evaluated

    talk.write_text(talk.read_text() + "\n[30:00] (Ann): The dam will be built next year.\n")
    changed = json.loads(stope("run", talk, "--json").stdout)
    assert changed["job_id"] != first["job_id"]
    assert 1 <= llm.total("mine") - mined <= 2


async def test_ctrl_c_leaves_a_job_that_the_same_command_goes_on_with(
    stope: Stope, llm: ScriptedLlm, talk: Path
) -> None:
    llm.calls.clear()
    llm.hold("mine", after=2)
    process = stope.start("run", talk)

    async def in_flight() -> bool:
        return llm.total("mine") > 2

    await until(in_flight, "calls in flight")
    process.send_signal(signal.SIGINT)
    llm.release()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Go on with:" in err
    assert "Traceback" not in err + out

    again = stope("run", talk, "--json")
    assert again.returncode == 0, again.stderr
    assert all(count == 1 for count in llm.calls.values())


def test_an_unreachable_llm_is_waited_for_and_named(stope: Stope, talk: Path) -> None:
    process = stope.start("run", talk, "--llm", "http://127.0.0.1:9/v1#nobody")
    assert process.stderr is not None
    said = ""
    while "cannot be reached" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130


async def test_two_runs_at_once_do_the_work_once(
    stope: Stope, llm: ScriptedLlm, talk: Path
) -> None:
    llm.calls.clear()
    processes = [stope.start("run", talk, "--json") for _ in range(2)]
    answers = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert len({json.loads(out)["result"]["output_id"] for out, _ in answers}) == 1
    assert all(count == 1 for count in llm.calls.values())


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "nowhere.mp3"], 1, "does not exist"),
        (["run", "."], 1, "is a folder"),
        (["run", "empty.mp3"], 1, "is empty"),
        (["run", "talk one.txt", "--llm", "gpt"], 2, "is not a model name"),
        (["run", "talk one.txt", "--llm", "embedded:none"], 2, "no embedded model"),
        (["run", "talk one.txt", "--llm", "openai:gpt-4o-mini"], 1, "OPENAI_API_KEY"),
        (["run", "noise.mp3"], 1, "is not a recording"),
        (["status", "pipeline-0"], 2, "There is no job"),
        (["export", "pipeline-0", "--format", "pdf"], 2, "no format"),
        (["models", "pull", "nothing"], 2, "There is no model"),
    ],
)
def test_a_mistake_gets_one_sentence(
    stope: Stope, talk: Path, words: list[str], code: int, sentence: str
) -> None:
    (talk.parent / "empty.mp3").touch()
    (talk.parent / "noise.mp3").write_bytes(b"this is not audio" * 100)
    done = stope(*words)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_status_watch_and_result_of_a_finished_job(stope: Stope, talk: Path) -> None:
    job_id = json.loads(stope("run", talk, "--json").stdout)["job_id"]
    for command in ("status", "result", "checkpoint"):
        body = json.loads(stope(command, job_id[:14], "--json").stdout)
        assert body["job_id"] == job_id
        assert body["status"] == "succeeded"
        assert body["result"]["output_id"].startswith("knowledge-")
    assert job_id in stope("jobs").stdout
    assert stope("watch", job_id).returncode == 0
    assert stope("doctor").returncode == 0


def test_a_runs_folder_is_named_kept_and_fits_what_it_was_made_for(
    stope: Stope, llm: ScriptedLlm, talk: Path, tmp_path: Path
) -> None:
    named = ("--run-guid", "nightly-7", "--keep-checkpoint")
    first = stope("run", talk, "--json", *named)
    assert first.returncode == 0, first.stderr
    folder = stope.home / "artifacts" / "runs"
    kept = json.loads((folder / "nightly-7" / "checkpoint.json").read_text())
    assert kept["completed_steps"] == kept["completed_stages"] == ["mine", "flagship"]
    assert kept["pipeline_name"] == "pipeline"
    assert [path.name for path in folder.iterdir()] == ["nightly-7"]

    both = stope("run", talk, talk, "--run-guid", "nightly-7")
    assert (both.returncode, "give one path" in both.stderr) == (2, True)

    other = tmp_path / "other.txt"
    other.write_text("[00:00] (Ann): In 1910 the river rose by two metres after days of rain.")
    asked = llm.total("")
    strict = stope("run", other, *named, "--strict-resume")
    assert strict.returncode == 1
    assert "it is of another input" in strict.stderr
    assert llm.total("") == asked
    assert json.loads((folder / "nightly-7" / "checkpoint.json").read_text()) == kept

    fresh = stope("run", other, *named, "--no-strict-resume")
    assert fresh.returncode == 0, fresh.stderr
    assert "It starts afresh." in " ".join(fresh.stdout.split())
