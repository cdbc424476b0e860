"""A step pipeline whose artifacts and checkpoint are in a bucket, over HTTP.

Proves: the checkpoint is written there, a killed worker's run goes on from it and cleans up; and a
store that is taken away for a while is waited for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from client import JobClient
from tests.object_servers import Door, ObjectServer
from tests.resume.machines import BLOCKS, CONFIG, Machines
from tests.waiting import until

pytestmark = pytest.mark.slow

Run = tuple[Machines, ObjectServer, str, Door]


@pytest.fixture(params=["gs", "s3"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Machines, the server of their store, its bucket, and the door before it."""
    server: ObjectServer = request.getfixturevalue(
        "gcs_server" if request.param == "gs" else "s3_server"
    )
    door = Door(server.port)
    door.open()
    bucket = server.new_bucket()
    machines = Machines(tmp_path, f"{server.scheme}://{bucket}/stope", dict(server.at(door.port)))
    try:
        machines.start_worker()
        yield machines, server, bucket, door
    finally:
        machines.close()
        door.close()


def begun(machines: Machines, line: str, times: int = 1) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return [name for name, _ in machines.journal()].count(line) >= times

    return reached


def checkpoints(server: ObjectServer, bucket: str) -> list[str]:
    return [key for key in server.keys(bucket) if key.endswith("checkpoint.json")]


async def test_killed_resumed_and_cleaned(run: Run) -> None:
    machines, server, bucket, _ = run
    before = machines.fact()
    machines.open_until("block_0001")
    async with JobClient(machines.settings()) as client:
        job_id = await client.create_pipeline("letters", [machines.input], CONFIG)
        await client.start_job(job_id)
        await until(begun(machines, "block_0001"), "a unit in flight")
        machines.kill_worker()
        [kept] = checkpoints(server, bucket)
        machines.open_all()
        machines.start_worker()
        result = await client.wait(job_id)
    parts = result["result"]
    assert isinstance(parts, dict)
    assert kept == f"stope/runs/{parts['run_guid']}/checkpoint.json"
    began = [name for name, _ in machines.journal()]
    assert (began.count("read"), began.count("block_0000"), began.count("count")) == (1, 1, 2)
    assert await machines.committed() == BLOCKS
    assert checkpoints(server, bucket) == []
    assert f"stope/sha256/{parts['chart_digest'][:2]}/{parts['chart_digest']}" in server.keys(
        bucket
    )
    assert machines.fact() == before


async def test_a_store_that_is_taken_away_and_given_back_is_waited_for(run: Run) -> None:
    machines, server, bucket, door = run
    machines.open_until("read.end")
    async with JobClient(machines.settings()) as client:
        job_id = await client.create_pipeline("letters", [machines.input], CONFIG)
        await client.start_job(job_id)
        await until(begun(machines, "read.end"), "a step that is about to give")
        door.close()
        machines.open_all()
        # What the step gives cannot be stored: it is tried again.
        await until(begun(machines, "read", times=2), "another attempt at the step")
        assert not (await client.job(job_id)).status.finished
        door.open()
        result = await client.wait(job_id)
    assert result["status"] == "succeeded"
    began = [name for name, _ in machines.journal()]
    assert [began.count(f"block_{at:04d}") for at in range(BLOCKS)] == [1] * BLOCKS
    assert checkpoints(server, bucket) == []
