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

from activities.failures import translated
from activities.progress import reporting
from client import JobClient, connect_temporal
from search_attributes import register_search_attributes
from stope import names
from stope.dev_server import DevServer
from stope.errors import ProviderUnavailableError
from stope.models.gap import Gap
from stope.models.job import JobStatus, JobType
from stope.models.messages import (
    JobRequest,
    OpenRun,
    ProgressReport,
    RunOpened,
    RunOptions,
    StageDone,
    StageRequest,
)
from stope.models.progress import Spent, StageProgress, gap_notes
from stope.settings import Settings
from tests.waiting import until
from tests.workflows.harness import DONE, RecordedActivities, new_id, serving
from worker import WORKFLOWS, run_worker
from workflows.attributes import (
    COST,
    GAPS,
    JOB_TYPE,
    PROGRESS,
    SOURCE,
    STAGE,
    start_attributes,
)

TEXT = "The river rose in 1910. The bridge fell in 1911."


GAP = Gap(stage="mine", unit_id="seg_0003", reason="No valid answer", start=130, end=165)
SPENT = Spent(prompt_tokens=900, completion_tokens=100, cost_usd=0.25)


class HeldMining(RecordedActivities):
    """Mining reports some of its units and a gap, and ends when it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:
        async with reporting(request) as report:
            report(
                StageProgress(
                    job_type="mine",
                    stage="mining",
                    done=4,
                    total=10,
                    gaps=1,
                    named=gap_notes([GAP]),
                    elapsed=60,
                    spent=SPENT,
                )
            )
            await self.release.wait()
        return DONE.model_copy(
            update={
                "status": JobStatus.SUCCEEDED_WITH_GAPS,
                "result": {"claims_extracted": 7},
                "units": 9,
                "gaps": 1,
                "named": gap_notes([GAP]),
                "attempt": activity.info().attempt,
                "spent": SPENT + SPENT,
            }
        )


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
            return len(pages) == 2 and all("4 of 10, 1 gap" in page for page in pages)

        async def begun() -> bool:
            return "open_run mine-1" in activities.asked

        await until(begun, "the mine stage")
        await until(both_told, "the segments on both pages")
        page = await _details(temporal, job_id)
        assert "**talk.opus**: pipeline, attempt 1, **running**" in page
        assert (
            f"workflows/{job_id}%2Fmine) | mining | ▰▰▱▱▱▱40% | 4 of 10, 1 gap "
            "| 4.0/min, 1:00 left | 1,000 tokens, $0.25 |"
        ) in page
        assert "| flagship | not started |" in page
        assert "▰▰▰▰▱▱▱▱▱▱ 46 %, at least 1:00 left, 1,000 tokens, $0.25, 1 gap" in page
        assert "- mine seg_0003, 2:10-2:45: No valid answer" in page
        assert await _attributes(temporal, job_id) == {
            "StopeJobType": "pipeline",
            "StopeStage": "mine",
            "StopeSource": "talk.opus",
            "StopeProgress": 46,
            "StopeGaps": 1,
            "StopeCost": 0.25,
        }
        assert await _attributes(temporal, child) == {
            "StopeJobType": "mine",
            "StopeStage": "mining",
            "StopeSource": "talk.opus",
            "StopeProgress": 40,
            "StopeGaps": 1,
            "StopeCost": 0.25,
        }
        activities.release.set()
        await temporal.get_workflow_handle(job_id).result()
        page = await _details(temporal, job_id)
        assert "**succeeded**" in page
        assert (
            "| succeeded with gaps | ▰▰▰▰▰▰100% | 9, 1 gap |  | 2,000 tokens, $0.50 | 7 claims |"
        ) in page
    for workflow_id, job_type in ((job_id, "pipeline"), (child, "mine")):
        ended = await _attributes(temporal, workflow_id)
        assert (ended["StopeJobType"], ended["StopeStage"]) == (job_type, "completed")
        assert ended["StopeProgress"] == 100
        assert (ended["StopeGaps"], ended["StopeCost"]) == (1, 0.5)
        await _replays(temporal, workflow_id)


async def test_a_workflow_from_before_the_newer_attributes_sets_none_of_them(
    temporal: Client,
) -> None:
    activities = HeldMining()
    activities.release.set()
    async with serving(temporal, activities):
        job_id = new_id(JobType.PIPELINE)
        await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE["pipeline"],
            JobRequest(job_id=job_id, options=RunOptions(search_attributes=True)),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
            search_attributes=start_attributes(JobType.PIPELINE, "talk.opus", counted=False),
        )
        await temporal.get_workflow_handle(job_id).result()
    for workflow_id in (job_id, f"{job_id}/mine"):
        found = await _attributes(temporal, workflow_id)
        assert found.keys() == {"StopeJobType", "StopeStage", "StopeSource", "StopeProgress"}
        assert found["StopeProgress"] == 100


async def test_a_paused_workflow_says_so_and_shows_its_stage_again_when_it_goes_on(
    temporal: Client,
) -> None:
    activities = HeldMining()
    async with serving(temporal, activities):
        job_id = new_id(JobType.MINE)
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE["mine"],
            JobRequest(job_id=job_id, options=RunOptions(search_attributes=True)),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
            search_attributes=start_attributes(JobType.MINE, "talk.txt"),
            start_signal=names.PAUSE,
            start_signal_args=["The machine is needed."],
        )

        async def paused() -> bool:
            return (await _attributes(temporal, job_id))["StopeStage"] == "paused"

        await until(paused, "the pause")
        page = await _details(temporal, job_id)
        assert "**paused**" in page
        assert f"The machine is needed.\n\nGo on: `stope resume {job_id}`" in page
        await handle.signal(names.UNPAUSE)

        async def mining() -> bool:
            return (await _attributes(temporal, job_id))["StopeStage"] == "mining"

        await until(mining, "mining")
        assert "The machine is needed." not in await _details(temporal, job_id)
        activities.release.set()
        await handle.result()
    await _replays(temporal, job_id)


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


class Stumbling(RecordedActivities):
    """Mining fails at once, as the translation of a library's error does, then holds."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:
        if activity.info().attempt == 1:
            with translated():
                raise ProviderUnavailableError(AWAY)
        await self.release.wait()
        return DONE


AWAY = "The model server at 127.0.0.1:1 does not answer; start it, and the run goes on."


async def test_a_failed_attempt_shows_its_plain_sentence_and_the_resumed_one_its_units(
    temporal: Client,
) -> None:
    activities = Stumbling()
    async with serving(temporal, activities):
        job_id = await _start(temporal, JobType.MINE, "talk.txt", search_attributes=True)
        handle = temporal.get_workflow_handle(job_id)

        async def failure() -> str:
            description = (await handle.describe()).raw_description
            return next((a.last_failure.message for a in description.pending_activities), "")

        async def failed() -> bool:
            return bool(await failure())

        await until(failed, "a failed attempt")
        assert await failure() == AWAY
        activities.release.set()
        await handle.result()


class Knowing(RecordedActivities):
    """The records know what the stage is about to do."""

    @activity.defn(name=names.OPEN_RUN)
    async def open_run(self, request: OpenRun) -> RunOpened:
        opened: RunOpened = await super().open_run(request)
        return opened.model_copy(update={"attempt": 2, "scope": "segments 13-24 of 24"})


async def test_a_stages_activity_names_its_units_where_they_are_known(temporal: Client) -> None:
    async with serving(temporal, Knowing()):
        job_id = await _start(temporal, JobType.MINE, "talk.txt", search_attributes=True)
        await temporal.get_workflow_handle(job_id).result()
    assert await _summaries(temporal, job_id) == [
        "talk.txt: open a run",
        "talk.txt: mine, segments 13-24 of 24, attempt 2",
    ]


async def test_reports_that_come_late_or_from_nowhere_change_nothing(temporal: Client) -> None:
    activities = HeldMining()
    async with serving(temporal, activities):
        job_id = await _start(temporal, JobType.MINE, "talk.txt", search_attributes=True)
        handle = temporal.get_workflow_handle(job_id)

        async def told() -> bool:
            return "4 of 10" in await _details(temporal, job_id)

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
        "StopeGaps": 0,
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
        value = "'-'" if kind == "Keyword" else 0
        assert (await temporal.count_workflows(f"{name} = {value}")).count >= 0
    ours = (JOB_TYPE, STAGE, SOURCE, PROGRESS, GAPS, COST)
    assert {key.name for key in ours} == set(names.SEARCH_ATTRIBUTES)
