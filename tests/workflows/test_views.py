"""A job is shown as what it is by Temporal's word, not as what a stale row says.

Not started, without a worker, lost, paused: each is told apart, and says how to go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.client import Client

from cli.standing import standing
from client import JobClient
from stope import names
from stope.models.job import Job, JobStatus, JobType
from stope.models.messages import OpenRun, RunOpened
from stope.models.view import JobView
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.harness import RecordedActivities, serving

TEXT = "The river rose in 1910. The bridge fell in 1911."


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", temporal_address=None)


@pytest.fixture
async def client(home: Settings, temporal: Client) -> AsyncIterator[JobClient]:
    async with JobClient(home, temporal) as found:
        yield found


@pytest.fixture
async def records(home: Settings, client: JobClient) -> AsyncIterator[JobRecords]:
    database = Database(home.records_url)
    yield JobRecords(database)
    await database.close()


async def created(
    client: JobClient, folder: Path, kind: JobType = JobType.MINE, **config: object
) -> Job:
    source = folder / f"{kind.value}.txt"
    source.write_text(TEXT + folder.name)
    return await client.job(await client.create_job(kind, source, config))


async def word(client: JobClient, job_id: str) -> str:
    """What ``stope jobs`` says of it."""
    return standing(await client.job(job_id), await client.view(job_id))


async def test_a_job_that_was_only_created_is_not_started(
    client: JobClient, tmp_path: Path
) -> None:
    job = await created(client, tmp_path)
    view = await client.view(job.id)
    assert view.waiting == f"not started: `stope resume {job.id}` starts it"
    assert not view.lost
    assert await word(client, job.id) == "not started"


async def test_a_started_job_without_a_worker_says_so(client: JobClient, tmp_path: Path) -> None:
    job = await created(client, tmp_path)
    await client.start_job(job.id)
    view = await client.view(job.id)
    assert view.waiting is not None
    assert "waiting for a worker" in view.waiting
    assert await word(client, job.id) == "no worker"
    await client.cancel(job.id)


class OnlyOrchestration(RecordedActivities):
    """The records are served; nobody serves the stage's own queue."""

    def __init__(self, records: JobRecords) -> None:
        super().__init__()
        self._records = records

    @activity.defn(name=names.OPEN_RUN)
    async def open_run(self, request: OpenRun) -> RunOpened:
        run = await self._records.begin_run(request.job_id, request.run_id, request.workflow_id)
        return RunOpened(attempt=run.attempt, run_id=run.run_id)


async def test_a_row_that_says_running_without_a_workflow_is_lost(
    client: JobClient, records: JobRecords, tmp_path: Path, temporal: Client
) -> None:
    job = await created(client, tmp_path)
    async with serving(temporal, OnlyOrchestration(records), queues=(names.ORCHESTRATION_QUEUE,)):
        await client.start_job(job.id)

        async def running() -> bool:
            return (await client.job(job.id)).status is JobStatus.RUNNING

        await until(running, "the run")

        async def waiting() -> bool:
            return (await client.view(job.id)).stages[0].waiting is not None

        await until(waiting, "the view of a stage without a worker")
        [stage] = (await client.view(job.id)).stages
        assert stage.waiting is not None
        assert "waiting for a worker" in stage.waiting
        assert await word(client, job.id) == "no worker"
        await temporal.get_workflow_handle(job.id).terminate("its machine burnt down")

        async def lost() -> bool:
            return (await client.view(job.id)).lost

        await until(lost, "the loss to be seen")
    view = await client.view(job.id)
    assert view.waiting is not None
    assert f"`stope resume {job.id}`" in view.waiting
    assert await word(client, job.id) == "lost"
    assert (await client.job(job.id)).status is JobStatus.RUNNING
    seen = [view async for view in client.watch(job.id)]
    assert [view.lost for view in seen] == [True]


async def test_a_paused_job_shows_its_sentence(
    client: JobClient, records: JobRecords, tmp_path: Path, temporal: Client
) -> None:
    job = await created(client, tmp_path)
    async with serving(temporal, OnlyOrchestration(records), queues=(names.ORCHESTRATION_QUEUE,)):
        await client.start_job(job.id)

        async def running() -> bool:
            return (await client.job(job.id)).status is JobStatus.RUNNING

        await until(running, "the run")
        [run] = await client.runs(job.id)
        await records.mark_run(
            run.run_id,
            JobStatus.PAUSED,
            code="BudgetReached",
            message="The limit of $1 is reached.",
        )
        view = await client.view(job.id)
        assert view.waiting == (f"The limit of $1 is reached. Go on with `stope resume {job.id}`.")
        assert [stage.paused for stage in view.stages] == [True]
        assert await word(client, job.id) == "paused"
        await temporal.get_workflow_handle(job.id).terminate("the test is over")


async def test_a_pipelines_stages_are_those_it_has(client: JobClient, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    job = await created(client, tmp_path, JobType.PIPELINE, upload_to=there.as_uri())
    await client.start_job(job.id)
    view: JobView = await client.view(job.id)
    assert [stage.stage for stage in view.stages] == [
        JobType.MINE,
        JobType.FLAGSHIP,
        JobType.UPLOAD,
    ]
    await client.cancel(job.id)


async def test_jobs_are_viewed_together_and_finished_ones_are_not_asked_for(
    client: JobClient, records: JobRecords, tmp_path: Path
) -> None:
    job = await created(client, tmp_path)
    done = await created(client, tmp_path, JobType.PIPELINE)
    run = await records.begin_run(done.id, "run-1", done.id)
    await records.finish_run(run.run_id, JobStatus.SUCCEEDED, result={"result": {}})
    found = await client.views([job, await client.job(done.id)])
    assert found.keys() == {job.id}
