"""Jobs paused, resumed, retried, redone and forked by command: what is done is never paid twice.

One home and one worker (``stope up``) for all tests. Commands that only speak to them run in here.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from client import connect_temporal
from stope.settings import Settings
from tests.e2e.conftest import Stope, said_until
from tests.e2e.trouble import MoodyLlm, one_sentence, speech, write_wav
from tests.resume.scripted_llm import FLAGSHIP, ScriptedLlm
from tests.waiting import until

pytestmark = pytest.mark.slow

MUD = "It carried stones, trees and a great deal of mud down to the old harbour. "


@pytest.fixture(scope="module", autouse=True)
def worker(scripted_stope: Stope, llm: ScriptedLlm) -> Iterator[None]:
    """Somebody who works on whatever is started."""
    scripted_stope.environment["STOPE_LLM_PRICE"] = "0.2/0.3"
    process = scripted_stope.start("up")
    said_until(process, "Ctrl-C ends it")
    yield
    llm.release()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def finished(scripted_stope: Stope, interview: Path) -> dict[str, Any]:
    """A finished pipeline job of a recording."""
    path = write_wav(scripted_stope.home.parent / "river.wav", speech(interview, 0, 12))
    return result_of(scripted_stope.here("run", path, "--json"))


def talk(stope: Stope, name: str, minutes: int = 2) -> Path:
    """A text that no other test has."""
    path = stope.home.parent / f"{name}.txt"
    lines = [
        f"[{minute:02d}:00] (Ann): In {1900 + minute} the river of {name} rose by {minute} metres. "
        f"Rain in the hills of region {minute} makes the {name} rise. " + MUD * 8
        for minute in range(minutes)
    ]
    path.write_text("\n".join(lines))
    return path


def result_of(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def listed(stope: Stope) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stope.here("jobs", "--limit", "99", "--json").stdout)
    return found


def pipeline_of(stope: Stope, path: Path) -> dict[str, Any]:
    [job] = [
        job for job in listed(stope) if job["input"] == str(path) and job["type"] == "pipeline"
    ]
    return job


def asked(llm: ScriptedLlm) -> tuple[int, int]:
    """Requests for mining and for the flagship, so far."""
    return llm.total("mine"), sum(llm.total(kind) for kind in FLAGSHIP)


async def told_to_stop(stope: Stope, workflow_id: str) -> None:
    """Wait until the worker has learned that the stage is to end: by the answer to a heartbeat."""
    temporal = await connect_temporal(Settings(home=stope.home, temporal_address=None))
    beats: set[int] = set()

    async def two_beats_later() -> bool:
        described = await temporal.get_workflow_handle(workflow_id).describe()
        for pending in described.raw_description.pending_activities:
            if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
                beats.add(pending.last_heartbeat_time.ToNanoseconds())
        return len(beats) > 2

    await until(two_beats_later, "the worker to know")


def test_a_running_job_is_paused_and_goes_on_where_it_stood(
    scripted_stope: Stope, llm: ScriptedLlm
) -> None:
    path = talk(scripted_stope, "Loire", 12)
    before = Counter(llm.calls)
    mined = llm.total("mine")
    llm.hold("mine", after=2)
    process = scripted_stope.start("run", path)

    async def in_flight() -> bool:
        return llm.total("mine") > mined + 2

    asyncio.run(until(in_flight, "calls in flight"))
    job_id = pipeline_of(scripted_stope, path)["job_id"]
    asked_to = scripted_stope.here("pause", job_id, "--reason", "The office is closed.")
    assert asked_to.returncode == 0
    assert f"stope resume {job_id}" in asked_to.stderr
    asyncio.run(told_to_stop(scripted_stope, f"{job_id}/mine"))
    llm.release()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert pipeline_of(scripted_stope, path)["standing"] == "paused"
    assert asked(llm)[1] == sum(before[key] for key in before if not key.startswith("mine"))
    # The same command says why it waits, and lets nothing go on.
    for again in (
        scripted_stope.here("run", path),
        scripted_stope.here("run", path, "--no-wait"),
        scripted_stope.here("run", path, "--max-usd", "2"),
    ):
        assert again.returncode == 4, again.stderr
        assert one_sentence(again).endswith("is paused. The office is closed.")
        assert f"stope resume {job_id}\n" in again.stderr
    resumed = result_of(scripted_stope.here("resume", job_id, "--json"))
    assert resumed["status"] == "succeeded"
    assert max((llm.calls - before).values()) == 1
    assert pipeline_of(scripted_stope, path)["standing"] == "succeeded"


@pytest.mark.parametrize(
    ("option", "small", "large"), [("--max-tokens", "100", "900000"), ("--max-usd", "0", "1")]
)
def test_a_run_waits_at_its_limit_until_it_has_a_higher_one(
    scripted_stope: Stope, llm: ScriptedLlm, option: str, small: str, large: str
) -> None:
    paths = [talk(scripted_stope, f"{name}{option}") for name in ("Rhine", "Weser")]
    before = Counter(llm.calls)
    for path in paths:
        paused = scripted_stope.here("run", path, option, small)
        assert paused.returncode == 4, paused.stderr
        job_id = pipeline_of(scripted_stope, path)["job_id"]
        assert "The budget is reached" in one_sentence(paused)
        # One way on, in the sentence as in the line that can be pasted.
        assert f"`stope resume {job_id} {option} N`" in one_sentence(paused)
        assert f"stope resume {job_id} {option} N\n" in paused.stderr
        assert pipeline_of(scripted_stope, path)["standing"] == "paused"
        shown = scripted_stope.here("status", job_id).stdout
        assert f"stope resume {job_id} {option} N" in shown
        assert "unpause" not in shown
    assert llm.calls == before
    result_of(scripted_stope.here("resume", job_id, option, large, "--json"))
    # So does the command that began it, with more.
    assert scripted_stope.here("run", paths[0]).returncode == 4
    result_of(scripted_stope.here("run", paths[0], option, large, "--json"))
    assert max((llm.calls - before).values()) == 1


def test_gaps_are_tried_again_and_nothing_else_is(scripted_stope: Stope) -> None:
    path = talk(scripted_stope, "Oder", 12)
    with MoodyLlm() as moody:
        moody.mood, moody.about = "truncated", "hills of region 9 "
        first = result_of(scripted_stope.here("run", path, "--llm", moody.spec, "--json"), 3)
        job_id = first["job_id"]
        gaps = {gap["unit_id"] for gap in first["result"]["gaps"]}
        assert gaps
        assert pipeline_of(scripted_stope, path)["standing"].startswith("with ")
        plain = scripted_stope.here("retry", job_id)
        assert plain.returncode == 2
        assert f"`stope retry {job_id} --gaps`" in one_sentence(plain)
        moody.mood = None
        until_now = len(moody.prompts)
        second = result_of(scripted_stope.here("retry", job_id, "--gaps", "--json"))
        assert second["status"] == "succeeded"
        assert "gaps" not in second["result"]
        assert moody.paid_twice == []
        assert any(moody.about in prompt for prompt in moody.prompts[until_now:])
    [mine] = [
        job["job_id"]
        for job in listed(scripted_stope)
        if (job["type"], job["input"]) == ("mine", str(path))
    ]
    runs = json.loads(scripted_stope.here("status", mine, "--json").stdout)["runs"]
    assert runs[-1]["metrics"]["units_done"] == len(gaps)
    assert runs[-1]["metrics"]["units_reused"] > len(gaps)


def test_a_redo_from_the_flagship_asks_its_requests_again_and_no_others(
    scripted_stope: Stope, llm: ScriptedLlm, finished: dict[str, Any]
) -> None:
    before = Counter(llm.calls)
    redone = result_of(
        scripted_stope.here("redo", finished["job_id"], "--from", "flagship", "--json")
    )
    asked_again = llm.calls - before
    assert asked_again
    assert {key.partition(":")[0] for key in asked_again} <= set(FLAGSHIP)
    assert max(asked_again.values()) == 1
    assert redone["result"]["output_id"] == finished["result"]["output_id"]


def test_a_fork_pays_for_the_stages_that_another_model_changes(
    scripted_stope: Stope, llm: ScriptedLlm, finished: dict[str, Any]
) -> None:
    heard = [job["job_id"] for job in listed(scripted_stope) if job["type"] == "transcribe"]
    forks = {}
    for option, model in (("--llm", "other"), ("--flagship", "third")):
        done = scripted_stope.here("fork", finished["job_id"], option, llm.spec(model), "--json")
        forks[model] = result_of(done)
        assert f"is a fork of {finished['job_id']}" in done.stderr
    both = needed(scripted_stope, forks["other"]["job_id"], ["mine", "flagship"])
    judged = needed(scripted_stope, forks["third"]["job_id"], ["flagship"])
    assert (llm.models["other"], llm.models["third"]) == (both, judged)
    assert 0 < judged < both
    assert heard == [job["job_id"] for job in listed(scripted_stope) if job["type"] == "transcribe"]
    transcripts = {
        body["result"]["result"]["transcript_digest"] for body in (finished, *forks.values())
    }
    assert len(transcripts) == 1
    assert len({finished["job_id"], *(body["job_id"] for body in forks.values())}) == 3
    same = scripted_stope.here("fork", finished["job_id"], "--llm", llm.spec())
    assert same.returncode == 2
    assert "is the job itself" in one_sentence(same)


def needed(stope: Stope, job_id: str, stages: Sequence[str]) -> int:
    """Answers that some stages of a job took, paid for or from the ledger."""
    rows = json.loads(stope.here("cost", job_id, "--json").stdout)["rows"]
    return sum(row["answers"] + row["reused"] for row in rows if row["stage"] in stages)


def test_a_command_that_is_detached_leaves_the_work_to_the_worker(
    scripted_stope: Stope,
) -> None:
    path = talk(scripted_stope, "Elbe")
    started = scripted_stope.here("run", path, "--no-wait")
    assert started.returncode == 0, started.stderr
    job_id = started.stdout.strip()
    assert scripted_stope.here("watch", job_id).returncode == 0
    again = scripted_stope.here("redo", job_id, "--from", "flagship", "--detach")
    assert (again.returncode, again.stdout.strip()) == (0, job_id)
    assert f"stope watch {job_id}" in again.stderr
    assert scripted_stope.here("watch", job_id).returncode == 0
    runs = json.loads(scripted_stope.here("status", job_id, "--json").stdout)["runs"]
    assert [run["status"] for run in runs] == ["succeeded", "succeeded"]


def test_an_upload_is_worked_on_by_whoever_is_there(
    scripted_stope: Stope, finished: dict[str, Any], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    words = ("upload", finished["job_id"], "--to", place)
    first = result_of(scripted_stope.here(*words, "--json"))
    assert first["status"] == "succeeded"
    assert first["metrics"]["items_uploaded"] == first["result"]["result"]["items"]
    repeated = scripted_stope.here(*words, "--detach")
    assert (repeated.returncode, repeated.stdout.strip()) == (0, first["job_id"])
    assert scripted_stope.here("watch", first["job_id"]).returncode == 0


def test_what_a_job_cost_what_it_would_and_whether_it_is_sound(
    scripted_stope: Stope, finished: dict[str, Any]
) -> None:
    job_id = finished["job_id"]
    bill = scripted_stope.here("cost", job_id)
    assert bill.returncode == 0
    assert job_id in bill.stdout
    assert "paid $" in bill.stdout
    everything = json.loads(scripted_stope.here("cost", "--json").stdout)
    assert job_id in {row["job_id"] for row in everything["rows"]}
    assert everything["unknown_prices"] == {}

    planned = scripted_stope.here("plan", job_id)
    assert planned.returncode == 0, planned.stderr
    assert max(map(len, planned.stdout.splitlines())) <= 80
    plan = json.loads(scripted_stope.here("plan", talk(scripted_stope, "Main"), "--json").stdout)
    assert len(plan["inputs"]) == 1

    sound = scripted_stope.here("verify", job_id)
    assert sound.returncode == 0, sound.stdout
    assert sound.stdout.count(": sound") == 4
    assert "wrong" not in sound.stdout

    cleared = scripted_stope.here("gc", "--dry-run", "--keep-days", "0")
    assert cleared.returncode == 0, cleared.stderr
    assert "jobs with" in cleared.stderr
    assert scripted_stope.here("verify", job_id).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(
            (f"{verb} mine-none", "There is no job 'mine-none'")
            for verb in ("resume", "retry", "redo")
        ),
        *(
            (f"{verb} mine-none", "There is no job 'mine-none'")
            for verb in ("pause", "unpause", "cancel")
        ),
        ("fork mine-none --flagship openai:x", "There is no job 'mine-none'"),
        ("cost mine-none", "There is no job 'mine-none'"),
        ("verify mine-none", "There is no job 'mine-none'"),
        ("pause {job}", "nothing to pause"),
        ("unpause {job}", "nothing to unpause"),
        ("cancel {job}", "nothing to cancel"),
        ("redo {text} --from transcribe", "has no stage 'transcribe'; it has mine, flagship"),
        ("retry {job}", "succeeded, so there is nothing to try again"),
        ("fork {job} --llm nonsense", "is not a model name"),
    ],
)
def test_a_mistake_in_the_call_is_a_sentence(
    scripted_stope: Stope, finished: dict[str, Any], words: str, said: str
) -> None:
    text = next(
        job["job_id"]
        for job in listed(scripted_stope)
        if job["type"] == "pipeline" and job["input"].endswith(".txt")
    )
    line = words.format(job=finished["job_id"], text=text)
    done = scripted_stope.here(*line.split())
    assert done.returncode in (1, 2)
    assert said in one_sentence(done)
