"""Real SIGKILL of a step pipeline's worker, at every step boundary and inside of its loop.

Proves: another process with an empty memory, on another working folder, goes on; no finished step
and no committed unit is done a second time; arrays come back as arrays, results with the same
digests; and the user's file is as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from client import JobClient
from stope.models.job import JsonObject
from stope.models.steps import StepCheckpoint
from tests.resume.lab import digests
from tests.resume.machines import BLOCKS, CONFIG, LINES, Machines
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = Machines(tmp_path_factory.mktemp("machines"))
    try:
        found.start_worker()
        yield found
    finally:
        found.close()


@pytest.fixture
async def undisturbed(machines: Machines) -> JsonObject:
    """The result of a run that nobody killed."""
    machines.open_all()
    async with JobClient(machines.settings()) as client:
        job_id = await client.create_pipeline("letters", [machines.input], CONFIG)
        return await client.process_job(job_id)


@pytest.mark.parametrize("line", LINES)
async def test_killed_at(machines: Machines, undisturbed: JsonObject, line: str) -> None:
    before = machines.fact()
    machines.open_until(line)
    committed = await machines.committed()
    async with JobClient(machines.settings()) as client:
        job_id = await client.create_pipeline("letters", [machines.input], CONFIG)
        # In a namespace of its own nothing of an earlier run is there.
        await client.start_job(job_id, resume_from_checkpoint=False)

        async def reached() -> bool:
            return line in [name for name, _ in machines.journal()]

        await until(reached, f"{line} to begin")
        machines.kill_worker()
        machines.open_all()
        machines.start_worker()
        result = await client.wait(job_id)
        checkpoint = StepCheckpoint.model_validate(await client.checkpoint(job_id))

    step = line.partition(".")[0] if line in LINES[:3] + LINES[-3:] else "count"
    began = Counter(name for name, _ in machines.journal())
    # What was in flight is begun again; what was finished, or committed, is not.
    assert {name for name, times in began.items() if times > 1} == {step, line}
    assert set(began) == set(LINES)
    assert await machines.committed() == committed + BLOCKS
    assert digests(result) == digests(undisturbed)
    assert result["result"] | {"run_guid": ""} == undisturbed["result"] | {"run_guid": ""}  # type: ignore[operator]  # dicts
    assert checkpoint.completed_steps == ["read", "count", "draw"]
    if line == "count":
        # The array was made by a process that is dead.
        assert checkpoint.steps_summary["count"].metadata["context"] == {
            "from_memory": 0,
            "from_storage": 1,
        }
    assert machines.fact() == before
