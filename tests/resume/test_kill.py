"""Real SIGKILL of worker, server and both, in every stage, in separate processes.

Proves: no committed unit is done again, a unit in flight is done again at most once per slot, and
the final result is byte-identical to that of a run nobody disturbed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from stope.models.job import JobType, JsonObject
from tests.resume.lab import Lab, digests
from tests.resume.scripted_llm import ScriptedLlm
from tests.waiting import until

SLOTS = 3
SENTENCES = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path, llm: ScriptedLlm, models: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "home", llm.spec(), models)
    lab.start_server()
    lab.start_worker()
    try:
        yield lab
    finally:
        llm.release()
        lab.close()


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "talk.txt"
    lines = [
        f"[{second // 60:02d}:{second % 60:02d}] (Ann): In year {1900 + second} the river rose by "
        f"{second} metres because of heavy rain and melting snow in the hills."
        for second in range(SENTENCES)
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    llm: ScriptedLlm,
    models: Path,
    transcript: Path,
    interview: Path,
) -> dict[str, JsonObject]:
    """The results of runs that nobody killed, in a home of their own."""
    lab = Lab(tmp_path_factory.mktemp("undisturbed") / "home", llm.spec(), models)
    lab.start_server()
    lab.start_worker()

    async def run() -> dict[str, JsonObject]:
        async with lab.client() as client:
            text = await client.create_job(JobType.PIPELINE, transcript, {"segment_tokens": 50})
            audio = await client.create_job(JobType.TRANSCRIBE, interview)
            return {
                "text": await client.process_job(text, max_workers=SLOTS),
                "audio": await client.process_job(audio),
            }

    try:
        return asyncio.run(run())
    finally:
        lab.close()


@pytest.mark.parametrize("target", ["worker", "server", "both"])
@pytest.mark.parametrize(("kind", "stage"), [("mine", "mine"), ("judge", "flagship")])
async def test_killed_during_llm_stages(
    lab: Lab,
    llm: ScriptedLlm,
    transcript: Path,
    undisturbed: dict[str, JsonObject],
    target: str,
    kind: str,
    stage: str,
) -> None:
    llm.calls.clear()
    llm.hold(kind, after=4)
    async with lab.client() as client:
        job_id = await client.create_job(JobType.PIPELINE, transcript, {"segment_tokens": 50})
        await client.start_job(job_id, max_workers=SLOTS)

        async def in_flight() -> bool:
            return await lab.committed(stage) == 4 and llm.total(kind) == 4 + SLOTS

        await until(in_flight, f"4 committed {stage} units and {SLOTS} calls in flight")
        lab.kill(target)
        llm.release()
        result = await client.wait(job_id)

    assert digests(result) == digests(undisturbed["text"])
    asked_twice = {key: count for key, count in llm.calls.items() if count > 1}
    assert all(count == 2 for count in asked_twice.values())
    assert len(asked_twice) <= SLOTS


@pytest.mark.parametrize("target", ["worker", "server", "both"])
async def test_killed_during_transcription(
    lab: Lab, interview: Path, undisturbed: dict[str, JsonObject], target: str
) -> None:
    async with lab.client() as client:
        job_id = await client.create_job(JobType.TRANSCRIBE, interview)
        await client.start_job(job_id)

        async def some_committed() -> bool:
            return await lab.committed("transcribe") >= 2

        await until(some_committed, "two committed chunks")
        lab.kill(target)
        committed = await lab.committed("transcribe")
        result = await client.wait(job_id)
        [run] = await client.runs(job_id)

    assert digests(result) == digests(undisturbed["audio"])
    assert run.metrics is not None
    parts = result["result"]
    assert isinstance(parts, dict)
    done, reused = run.metrics["units_done"], run.metrics["units_reused"]
    assert isinstance(done, int)
    assert isinstance(reused, int)
    assert done + reused == parts["chunks"]
    if target != "server":
        # The new process found at least what was committed when the old one died.
        assert reused >= committed >= 2


async def test_sigterm_drains_and_another_worker_goes_on(
    lab: Lab, llm: ScriptedLlm, transcript: Path, undisturbed: dict[str, JsonObject]
) -> None:
    """Units in flight are committed before the worker leaves, so nothing at all is paid twice."""
    llm.calls.clear()
    llm.hold("mine", after=3)
    async with lab.client() as client:
        job_id = await client.create_job(JobType.PIPELINE, transcript, {"segment_tokens": 50})
        await client.start_job(job_id, max_workers=SLOTS)

        async def in_flight() -> bool:
            return llm.total("mine") == 3 + SLOTS

        await until(in_flight, "calls in flight")
        assert lab.worker is not None
        lab.worker.terminate()
        before = llm.total("mine")
        llm.release()
        assert lab.worker.wait(timeout=60) == 0
        assert llm.total("mine") <= before + SLOTS
        lab.start_worker()
        result = await client.wait(job_id)

    assert digests(result) == digests(undisturbed["text"])
    assert all(count == 1 for count in llm.calls.values())
