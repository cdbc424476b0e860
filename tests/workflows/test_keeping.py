"""A schedule clears out: it is made once, changed in place, run by a worker, and taken away.

On a real server with real records; the history is replayed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from activities.keeping import KeepingActivities
from activities.services import Services, open_services
from client import JobClient
from stope import names
from stope.errors import UsageError
from stope.models.keeping import GcReport, KeepPolicy
from stope.settings import Settings
from tests.waiting import until
from workflows.keeping import GcWorkflow


@pytest.fixture
async def services(tmp_path: Path, server: Settings) -> AsyncIterator[Services]:
    settings = Settings(
        home=tmp_path, temporal_address=None, temporal_port=server.temporal_port, llm="openai:x"
    )
    services = await open_services(settings)
    yield services
    await services.close()


async def test_a_schedule_clears_out_until_it_is_taken_away(
    services: Services, temporal: Client
) -> None:
    client = JobClient(services.settings, temporal)
    assert await client.schedule_gc("daily", KeepPolicy(keep_days=90)) == "23 3 * * *"
    policy = KeepPolicy(keep_days=7, keep_runs=2)
    assert await client.schedule_gc("5 4 * * 1", policy) == "5 4 * * 1"
    handle = temporal.get_schedule_handle(names.GC_SCHEDULE)
    await handle.trigger()

    async def ran() -> bool:
        return bool((await handle.describe()).info.recent_actions)

    activities = [KeepingActivities(services).collect_garbage]
    async with Worker(
        temporal,
        task_queue=names.ORCHESTRATION_QUEUE,
        workflows=[GcWorkflow],
        activities=activities,
        max_cached_workflows=0,
    ):
        await until(ran, "the schedule to start the workflow")
        [action] = (await handle.describe()).info.recent_actions
        workflow_id = getattr(action.action, "workflow_id", "")
        done = temporal.get_workflow_handle(workflow_id, result_type=GcReport)
        report = await done.result()
    assert (report.dry_run, report.total.count, report.kept_jobs) == (False, 0, 0)
    history = await done.fetch_history()
    replayer = Replayer(workflows=[GcWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)
    assert '"keep_days":7' in "".join(
        payload.data.decode()
        for event in history.events
        for payload in event.workflow_execution_started_event_attributes.input.payloads
    )

    assert await client.unschedule_gc()
    assert not await client.unschedule_gc()
    await client.close()


@pytest.mark.parametrize("when", ["sometimes", "1 2 3", "99 99 * * *"])
async def test_what_is_no_time_is_refused(services: Services, temporal: Client, when: str) -> None:
    client = JobClient(services.settings, temporal)
    with pytest.raises(UsageError, match="is no time"):
        await client.schedule_gc(when, KeepPolicy())
    await client.close()
