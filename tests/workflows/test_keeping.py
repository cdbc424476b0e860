"""A schedule clears out: it is made once, changed in place, run by a worker, and taken away.

On a real server with real records; the history is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Replayer,
    Worker,
)

import activities.keeping
from activities.beating import RecordBeats
from activities.keeping import KeepingActivities
from activities.services import Services, open_services
from client import JobClient
from stope import names
from stope.errors import UsageError
from stope.models.keeping import GcReport, KeepPolicy
from stope.settings import Settings
from tests.waiting import until
from workflows.keeping import GcWorkflow
from workflows.policies import KEEPING_BEAT


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

    collecting = [KeepingActivities(services).collect_garbage]
    async with Worker(
        temporal,
        task_queue=names.ORCHESTRATION_QUEUE,
        workflows=[GcWorkflow],
        activities=collecting,
        max_cached_workflows=0,
    ):
        await until(ran, "the schedule to start the workflow")
        [action] = (await handle.describe()).info.recent_actions
        workflow_id = getattr(action.action, "workflow_id", "")
        done = temporal.get_workflow_handle(workflow_id, result_type=GcReport)
        report = await done.result()
    assert (report.dry_run, report.total.count, report.kept_jobs) == (False, 0, 0)
    history = await done.fetch_history()
    [scheduled] = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert scheduled.heartbeat_timeout.ToTimedelta() == KEEPING_BEAT
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


async def test_it_beats_while_it_works(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    beats, enough = list[object](), asyncio.Event()

    async def slow(*_given: object) -> GcReport:
        await enough.wait()
        return GcReport(dry_run=False)

    def beat(*details: object) -> None:
        beats.append(details)
        if len(beats) == 3:
            enough.set()

    monkeypatch.setattr(activities.keeping, "collect_garbage", slow)
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info,
        activity_type=names.COLLECT_GARBAGE,
        heartbeat_timeout=timedelta(milliseconds=40),
    )
    environment.on_heartbeat = beat

    class Work(ActivityInboundInterceptor):
        """What the worker puts under an interceptor."""

        def __init__(self) -> None:
            """There is nothing under it."""

        async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002  (the SDK's name)
            return await input.fn(*input.args)

    under_beats = RecordBeats().intercept_activity(Work())
    fn = KeepingActivities(services).collect_garbage
    call = ExecuteActivityInput(fn=fn, args=[KeepPolicy()], executor=None, headers={})
    await environment.run(under_beats.execute_activity, call)
    assert len(beats) >= 3


@pytest.mark.parametrize("when", ["sometimes", "1 2 3", "99 99 * * *"])
async def test_what_is_no_time_is_refused(services: Services, temporal: Client, when: str) -> None:
    client = JobClient(services.settings, temporal)
    with pytest.raises(UsageError, match="is no time"):
        await client.schedule_gc(when, KeepPolicy())
    await client.close()
