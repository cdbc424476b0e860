"""Jobs on a real Temporal server with real records, and stages that do small units by a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from activities.runs import RunActivities
from activities.services import Services, open_services
from activities.stage_shell import run_stage_activity
from client import JobClient
from stope import names
from stope.errors import AnswerInvalidError, StopeError
from stope.identity import digest_of
from stope.models.checkpoint import (
    Checkpoint,
    FlagshipCheckpoint,
    MineCheckpoint,
    TranscribeCheckpoint,
    UploadCheckpoint,
)
from stope.models.job import JobStatus, JobType
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.messages import StageDone, StageRequest
from stope.settings import Settings
from stope.stage import StageOutcome, StageRun, status_of
from stope.units import Unit, run_units
from tests.builders import transcript_of
from tests.waiting import until
from worker import HEARTBEAT_THROTTLE, WORKFLOWS

UNITS = 4

_GIVES = {
    JobType.TRANSCRIBE: "transcript_digest",
    JobType.MINE: "claims_digest",
    JobType.FLAGSHIP: "knowledge_digest",
    JobType.UPLOAD: "receipts_digest",
}


class Output(BaseModel):
    text: str


@dataclass
class Script:
    """What the units of a stage meet. ``done`` lists every unit that was worked on, in order."""

    done: list[str] = field(default_factory=list)
    requests: list[StageRequest] = field(default_factory=list)
    gaps: set[str] = field(default_factory=set)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    errors: dict[str, StopeError] = field(default_factory=dict)
    answer: str = "first"
    ending: asyncio.Event | None = None
    """Waited for once all units are committed; the activity ends well, cancelled or not."""
    at_end: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the worker has learned that the activity is to end."""

    def hold(self, unit_id: str) -> asyncio.Event:
        """That unit waits for the event, once it is begun."""
        self.held[unit_id] = asyncio.Event()
        return self.held[unit_id]

    async def begun(self, unit_id: str) -> bool:
        return unit_id in self.done

    async def has_all_units(self) -> bool:
        return self.at_end.is_set()

    async def end(self) -> None:
        """All units are committed."""
        self.at_end.set()
        while self.ending is not None and not self.ending.is_set():
            with suppress(asyncio.CancelledError):
                await self.ending.wait()

    async def told_to_stop(self) -> bool:
        return self.stopped.is_set()


class Stages:
    """The activities of all stages: real shell, real unit loop, no engines."""

    def __init__(self, services: Services, scripts: dict[JobType, Script]) -> None:
        self._services = services
        self.scripts = scripts

    @activity.defn(name=names.TRANSCRIBE_AUDIO)
    async def transcribe(self, request: StageRequest) -> StageDone:
        return await self._run(
            request, JobType.TRANSCRIBE, TranscribeCheckpoint(file_path="talk"), "transcribing"
        )

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine(self, request: StageRequest) -> StageDone:
        return await self._run(request, JobType.MINE, MineCheckpoint(), "mining")

    @activity.defn(name=names.EVALUATE_CLAIMS)
    async def evaluate(self, request: StageRequest) -> StageDone:
        return await self._run(request, JobType.FLAGSHIP, FlagshipCheckpoint(), "evaluating")

    @activity.defn(name=names.UPLOAD_KNOWLEDGE)
    async def upload(self, request: StageRequest) -> StageDone:
        return await self._run(request, JobType.UPLOAD, UploadCheckpoint(), "uploading")

    async def _run(
        self, request: StageRequest, kind: JobType, checkpoint: Checkpoint, stage: str
    ) -> StageDone:
        script = self.scripts[kind]
        script.requests.append(request)

        async def body(run: StageRun[Any]) -> StageOutcome:
            run.checkpoint.stage = stage
            await run.enter(stage)
            stopping = asyncio.create_task(_note_stop(script))
            try:
                return await self._units(run, kind, script)
            finally:
                stopping.cancel()

        return await run_stage_activity(
            self._services, request, lambda _job: checkpoint.model_copy(deep=True), body
        )

    async def _units(self, run: StageRun[Any], kind: JobType, script: Script) -> StageOutcome:
        services = self._services.of_run(run.run.run_id)

        async def do(unit: Unit[str]) -> Output:
            script.done.append(unit.id)
            if unit.id in script.held:
                await script.held[unit.id].wait()
            if unit.id in script.errors:
                raise script.errors.pop(unit.id)
            if unit.id in script.gaps:
                raise AnswerInvalidError(f"{unit.id} never fitted.")
            return Output(text=f"{unit.id} {script.answer}")

        seed = [kind.value, run.job.namespace, run.job.input.digest, run.job.config.miner_model]
        done = await run_units(
            [Unit(f"u{number}", digest_of([*seed, number]), "") for number in range(UNITS)],
            do,
            stage=kind.value,
            store=services.units,
            output=Output,
            concurrency=1,
            report=run.advance,
            draining=run.draining,
        )
        await script.end()
        said = {name: out.text for name, out in done.outputs.items()}
        digest = await services.artifacts.put_model(_document(kind, run.job.input.digest, said))
        outcome = StageOutcome(
            status=status_of(done.gaps),
            output_id=f"{kind.value}-{digest[:16]}",
            result={_GIVES[kind]: digest},
            gaps=done.gaps,
            metrics={**done.metrics(), "wall_seconds": round(run.wall_seconds, 3)},
        )
        run.checkpoint.stage = "completed"
        run.checkpoint.final_result = outcome.final_result()
        await run.enter("completed")
        return outcome


def _document(kind: JobType, given: str, said: dict[str, str]) -> BaseModel:
    """What a stage gives; another input, or other outputs of its units, make another one.

    Labs share a server: with equal documents their chains would lead to equal workflows.
    """
    of_units = digest_of([kind.value, given, said])
    if kind is JobType.TRANSCRIBE:
        return transcript_of(" ".join([*said.values(), of_units]))
    if kind is JobType.MINE:
        return MinedClaims(transcript_digest=of_units, model="scripted", segments=UNITS, claims=())
    if kind is JobType.FLAGSHIP:
        return Knowledge(
            transcript_digest=of_units, miner_model="scripted", flagship_model="scripted", claims=()
        )
    return Output(text=of_units)


async def _note_stop(script: Script) -> None:
    await activity.wait_for_cancelled()
    script.stopped.set()


class Lab:
    """A home of its own on a shared server. Workers come and go as a test wants."""

    def __init__(self, home: Path, temporal: Client, services: Services) -> None:
        self.temporal = temporal
        self.services = services
        self.settings = services.settings
        self.scripts = {kind: Script() for kind in _GIVES}
        self.home = home

    def client(self) -> JobClient:
        return JobClient(self.settings, self.temporal)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Uncached workers on all queues: every workflow task replays the whole history."""
        runs, stages = RunActivities(self.services), Stages(self.services, self.scripts)
        of_queue: dict[str, list[Callable[..., Any]]] = {
            names.ORCHESTRATION_QUEUE: [
                *(runs.open_run, runs.open_stage, runs.save_stage, runs.close_pipeline),
                *(runs.fail_run, runs.mark_run, runs.open_next, stages.upload),
            ],
            names.SPEECH_QUEUE: [stages.transcribe],
            names.LLM_QUEUE: [stages.mine, stages.evaluate],
        }
        async with AsyncExitStack() as stack:
            for queue, functions in of_queue.items():
                worker = Worker(
                    self.temporal,
                    task_queue=queue,
                    workflows=WORKFLOWS if queue == names.ORCHESTRATION_QUEUE else (),
                    activities=functions,
                    max_cached_workflows=0,
                    max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                    default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                )
                await stack.enter_async_context(worker)
            yield

    def text(self, name: str = "talk.txt", content: str = "The river rose in 1910.") -> Path:
        path = self.home / name
        path.write_text(f"{content} {self.home}")
        return path

    def recording(self) -> Path:
        path = self.home / "talk.wav"
        path.write_bytes(b"no sound, and nobody listens to it " + str(self.home).encode())
        return path

    async def history(self, workflow_id: str) -> str:
        """The history of a workflow, as JSON."""
        found = await self.temporal.get_workflow_handle(workflow_id).fetch_history()
        return found.to_json()

    async def replays(self, *workflow_ids: str) -> None:
        replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
        for workflow_id in workflow_ids:
            handle = self.temporal.get_workflow_handle(workflow_id)
            await replayer.replay_workflow(await handle.fetch_history())


@asynccontextmanager
async def open_lab(
    home: Path, temporal: Client, server: Settings, **others: Any
) -> AsyncIterator[Lab]:
    settings = Settings(
        home=home,
        temporal_address=None,
        temporal_port=server.temporal_port,
        llm="openai:scripted",
        llm_price="1/2",
        **others,
    )
    services = await open_services(settings)
    try:
        yield Lab(home, temporal, services)
    finally:
        await services.close()


async def has_status(client: JobClient, job_id: str, status: JobStatus) -> bool:
    """Whether the records say so of a job."""
    return (await client.job(job_id)).status is status


async def becomes(client: JobClient, job_id: str, status: JobStatus) -> None:
    """Wait until the records say so of a job."""

    async def reached() -> bool:
        return await has_status(client, job_id, status)

    await until(reached, f"{job_id} to be {status.value}", 30)
