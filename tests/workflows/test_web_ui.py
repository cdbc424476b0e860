"""What the Temporal Web UI shows, asked from a real server: summaries, details, attributes.

And that nothing of it is needed: a server without the attributes does the work all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.progress import reporting
from client import JobClient, connect_temporal
from search_attributes import register_search_attributes
from stope import names
from stope.dev_server import DevServer
from stope.models.job import JobType
from stope.models.messages import JobRequest, ProgressReport, RunOptions, StageDone, StageRequest
from stope.models.progress import StageProgress
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.harness import DONE, RecordedActivities, new_id, serving
from worker import WORKFLOWS, run_worker
from workflows.attributes import JOB_TYPE, PROGRESS, SOURCE, STAGE, start_attributes

TEXT = "The river rose in 1910. The bridge fell in 1911."


class HeldMining(RecordedActivities):
    """Mining reports half of its units, and ends when it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:  # type: ignore[override]
        async with reporting(request) as report:
            report(StageProgress(job_type="mine", stage="mining", done=5, total=10, elapsed=60))
            await self.release.wait()
        return DONE.model_copy(update={"result": {"claims_extracted": 7}, "units": 10})


async def _start(client: Client, job_type: JobType, source: str, **options: Any) -> str:
    job_id = new_id(job_type)
    await client.start_workflow(
        names.WORKFLOW_OF_TYPE[job_type.value],
        JobRequest(job_id=job_id, options=RunOptions(**options), source=source),
        id=job_id,
        task_queue=names.ORCHESTRATION_QUEUE,
        search_attributes=start_attributes(job_type, source) if options else None,
    )
    return job_id


async def _details(client: Client, workflow_id: str) -> str:
    """What the Web UI asks for."""
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id)
    found = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return found.current_details.replace("\u00a0", "")


async def _attributes(client: Client, workflow_id: str) -> dict[str, object]:
    found = await client.get_workflow_handle(workflow_id).describe()
    pairs = found.typed_search_attributes.search_attributes
    return {pair.key.name: pair.value for pair in pairs if pair.key.name.startswith("Stope")}


async def _summaries(client: Client, workflow_id: str) -> list[str]:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    payloads = [
        event.user_metadata.summary
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    return [(await client.data_converter.decode([payload], [str]))[0] for payload in payloads]


async def _replays(client: Client, workflow_id: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


async def test_progress_inside_a_stage_moves_its_page_and_its_pipelines(temporal: Client) -> None:
    activities = HeldMining()
    async with serving(temporal, activities):
        job_id = await _start(temporal, JobType.PIPELINE, "talk.opus", search_attributes=True)
        child = f"{job_id}/mine"

        async def both_told() -> bool:
            pages = [await _details(temporal, job_id)]
            if "mine" in pages[0] and "| running |" not in pages[0]:
                pages.append(await _details(temporal, child))
            return len(pages) == 2 and all("5 of 10 (50 %)" in page for page in pages)

        async def begun() -> bool:
            return "open_run mine-1" in activities.asked

        await until(begun, "the mine stage")
        await until(both_told, "half of the segments on both pages")
        page = await _details(temporal, job_id)
        assert "**talk.opus**: pipeline, attempt 1, **running**" in page
        assert (
            f"workflows/{job_id}%2Fmine) | mining | 5 of 10 (50 %) | 5.0/min, 1:00 left |" in page
        )
        assert "| flagship | not started |" in page
        assert await _attributes(temporal, job_id) == {
            "StopeJobType": "pipeline",
            "StopeStage": "mine",
            "StopeSource": "talk.opus",
            "StopeProgress": 50,
        }
        assert await _attributes(temporal, child) == {
            "StopeJobType": "mine",
            "StopeStage": "mining",
            "StopeSource": "talk.opus",
            "StopeProgress": 50,
        }
        activities.release.set()
        await temporal.get_workflow_handle(job_id).result()
        page = await _details(temporal, job_id)
        assert "**succeeded**" in page
        assert "| succeeded | 10 |  | 7 claims |" in page
    for workflow_id, job_type in ((job_id, "pipeline"), (child, "mine")):
        ended = await _attributes(temporal, workflow_id)
        assert (ended["StopeJobType"], ended["StopeStage"]) == (job_type, "completed")
        assert ended["StopeProgress"] == 100
        await _replays(temporal, workflow_id)


async def test_the_list_is_filtered_by_the_attributes(temporal: Client) -> None:
    async with serving(temporal, RecordedActivities()):
        job_id = await _start(temporal, JobType.MINE, "filter me.txt", search_attributes=True)
        await temporal.get_workflow_handle(job_id).result()
    query = (
        f"{JOB_TYPE.name} = 'mine' AND {SOURCE.name} = 'filter me.txt' "
        f"AND {STAGE.name} = 'completed' AND {PROGRESS.name} >= 100"
    )

    async def found() -> bool:
        return [item.id async for item in temporal.list_workflows(query)] == [job_id]

    await until(found, "the run in the filtered list")


async def test_every_activity_and_child_says_what_it_is_about(temporal: Client) -> None:
    async with serving(temporal, RecordedActivities()):
        job_id = await _start(temporal, JobType.PIPELINE, "talk.opus", search_attributes=True)
        await temporal.get_workflow_handle(job_id).result()
    assert await _summaries(temporal, job_id) == [
        "talk.opus: open a run",
        *("talk.opus: open transcribe", "talk.opus: note transcribe in the checkpoint"),
        *("talk.opus: open mine", "talk.opus: note mine in the checkpoint"),
        *("talk.opus: open flagship", "talk.opus: note flagship in the checkpoint"),
        "talk.opus: close the pipeline, attempt 1",
    ]
    assert await _summaries(temporal, f"{job_id}/transcribe") == [
        "talk.opus: open a run",
        "talk.opus: transcribe, attempt 1",
    ]
    child = await temporal.get_workflow_handle(f"{job_id}/flagship").describe()
    assert await child.static_summary() == "Judge the claims of talk.opus"
    assert job_id in (await child.static_details() or "")


async def test_reports_that_come_late_or_from_nowhere_change_nothing(temporal: Client) -> None:
    activities = HeldMining()
    async with serving(temporal, activities):
        job_id = await _start(temporal, JobType.MINE, "talk.txt", search_attributes=True)
        handle = temporal.get_workflow_handle(job_id)

        async def told() -> bool:
            return "5 of 10" in await _details(temporal, job_id)

        await until(told, "a report")
        stray = StageProgress(job_type="upload", stage="uploading", done=1, total=2)
        await handle.signal(names.REPORT_PROGRESS, ProgressReport(attempt=1, progress=stray))
        await handle.signal(names.REPORT_PROGRESS, {"no": "report"})
        assert await told()
        activities.release.set()
        await handle.result()
        assert "upload" not in await _details(temporal, job_id)
    await _replays(temporal, job_id)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A server that was started without our attributes."""
    settings = Settings(home=tmp_path / "home", temporal_port=0, temporal_address=None)
    with monkeypatch.context() as patch:
        patch.setattr(names, "SEARCH_ATTRIBUTES", {})
        DevServer(settings).ensure()
    yield settings
    DevServer(settings).stop()


async def _job_done(settings: Settings, temporal: Client, folder: Path) -> str:
    """A mine job that was started by the client and has ended well."""
    source = folder / "talk.txt"
    source.write_text(TEXT)
    async with JobClient(settings, temporal) as client, serving(temporal, RecordedActivities()):
        job_id = await client.create_job(JobType.MINE, source)
        await client.start_job(job_id)
        await temporal.get_workflow_handle(job_id).result()
    return job_id


async def test_a_server_that_was_there_before_gets_the_attributes(
    older: Settings, tmp_path: Path
) -> None:
    temporal = await connect_temporal(older)
    job_id = await _job_done(older, temporal, tmp_path)
    assert await _attributes(temporal, job_id) == {
        "StopeJobType": "mine",
        "StopeStage": "completed",
        "StopeSource": "talk.txt",
        "StopeProgress": 100,
    }
    description = await temporal.get_workflow_handle(job_id).describe()
    assert await description.static_summary() == "Mine the claims of talk.txt"
    assert job_id in (await description.static_details() or "")


@pytest.mark.parametrize(
    "taken",
    [
        {f"Other{number}": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for number in range(10)},
        {"StopeStage": IndexedValueType.INDEXED_VALUE_TYPE_INT},
    ],
    ids=["no room for more", "another type"],
)
async def test_without_the_attributes_work_goes_on_with_a_warning(
    older: Settings,
    tmp_path: Path,
    taken: dict[str, IndexedValueType.ValueType],
    caplog: pytest.LogCaptureFixture,
) -> None:
    temporal = await connect_temporal(older)
    await temporal.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=temporal.namespace, search_attributes=taken)
    )
    assert not await register_search_attributes(temporal)
    job_id = await _job_done(older, temporal, tmp_path)
    assert await _attributes(temporal, job_id) == {}
    stop = asyncio.Event()
    with caplog.at_level(logging.WARNING):
        await run_worker(older, temporal, stop, started=stop.set)
    assert "StopeJobType (Keyword)" in caplog.text
    await _replays(temporal, job_id)


async def test_the_embedded_server_starts_with_the_attributes(temporal: Client) -> None:
    for name, kind in names.SEARCH_ATTRIBUTES.items():
        value = 0 if kind == "Int" else "'-'"
        assert (await temporal.count_workflows(f"{name} = {value}")).count >= 0
    assert {key.name for key in (JOB_TYPE, STAGE, SOURCE, PROGRESS)} == set(names.SEARCH_ATTRIBUTES)
