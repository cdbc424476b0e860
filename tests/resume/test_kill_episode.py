"""SIGKILL of an episode's only machine; others with nothing but its artifacts go on.

Proves: what a checkpoint has as finished is taken over by other records, in a new process on
another folder with another Temporal server; no model is asked for it again, nothing heard again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stope.models.job import JobType, JsonObject
from tests.resume.lab import Lab, digests
from tests.resume.scripted_llm import ScriptedLlm
from tests.waiting import until

pytestmark = pytest.mark.slow

STAGES = ("transcribe", "mine", "flagship")


@pytest.fixture
def llm() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, llm: ScriptedLlm, models: Path) -> Iterator[Callable[[str], Lab]]:
    """Machines by name: each has a folder, records, a server and a worker; the store is shared."""
    labs: list[Lab] = []
    url = (tmp_path / "artifacts").as_uri()

    def start(name: str) -> Lab:
        lab = Lab(tmp_path / name, llm.spec(), models)
        labs.append(lab)
        lab.settings = lab.settings.model_copy(update={"artifacts_url": url})
        lab.environment["STOPE_ARTIFACTS_URL"] = url
        lab.start_server()
        lab.start_worker()
        return lab

    yield start
    llm.release()
    for lab in labs:
        lab.close()


async def committed(lab: Lab) -> dict[str, int]:
    """Units that a machine did itself, by stage."""
    return {stage: await lab.committed(stage) for stage in STAGES}


async def test_other_machines_go_on_with_the_artifacts_alone(
    machine: Callable[[str], Lab], llm: ScriptedLlm, interview: Path
) -> None:
    first = machine("first")
    llm.hold("judge", after=0)
    async with first.client() as client:
        job_id = await client.create_job(JobType.PIPELINE, interview)
        await client.start_job(job_id)

        async def judging() -> bool:
            return llm.total("judge") > 0

        await until(judging, "the last stage", 240)
        shown = (await client.checkpoint(job_id)) or {}
    first.kill_worker()
    first.close()
    llm.release()
    mined = llm.total("mine")
    assert mined > 0

    second = machine("second")
    async with second.client() as client:
        assert job_id == await client.create_job(
            JobType.PIPELINE, interview, keep_checkpoint=True, strict_resume=True
        )
        result = await client.process_job(job_id)
    done = await committed(second)
    assert (done["transcribe"], done["mine"]) == (0, 0)
    assert done["flagship"] > 0
    assert llm.total("mine") == mined
    _took_over(shown, result)

    # Everything is finished there: a third machine asks nobody, and does nothing.
    asked = llm.total("")
    third = machine("third")
    async with third.client() as client:
        assert job_id == await client.create_job(JobType.PIPELINE, interview, strict_resume=True)
        assert await client.process_job(job_id) == result
        found = await client.verify(job_id)
        document = await client.document(job_id)
    assert llm.total("") == asked
    assert await committed(third) == dict.fromkeys(STAGES, 0)
    assert [finding.text for one in found for finding in one.findings if finding.wrong] == []
    assert document.knowledge is not None


def _took_over(shown: JsonObject, result: JsonObject) -> None:
    """The result names the transcript and the claims of the first machine."""
    results = shown["results"]
    assert isinstance(results, dict)
    for stage, name in (("transcribe", "transcript_digest"), ("mine", "claims_digest")):
        assert digests(result)[name] == results[stage]["result"][name]
