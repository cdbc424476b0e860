"""Workflows on a real Temporal server, with activities that only say what they were asked."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from stope import names
from stope.models.job import JobConfig, JobStatus, JobType
from stope.models.messages import (
    FailRun,
    MarkRun,
    NextOpened,
    OpenNext,
    OpenRun,
    OpenStage,
    RunOpened,
    SaveStage,
    StageDone,
    StageOpened,
    StageRequest,
)
from stope.models.route import next_stage
from worker import WORKFLOWS

DONE = StageDone(status=JobStatus.SUCCEEDED, output_id="out", result={"n": 1})


class RecordedActivities:
    """Every activity of the workflows; ``asked`` lists them in order. Stages can be overridden."""

    def __init__(
        self,
        finished: Sequence[JobType] = (),
        stage: Callable[[str], StageDone] = lambda _name: DONE,
    ) -> None:
        self.asked: list[str] = []
        self.failed: list[FailRun] = []
        self.marked: list[MarkRun] = []
        self.opened: list[OpenStage] = []
        self._finished = finished
        self._stage = stage

    @activity.defn(name=names.OPEN_RUN)
    async def open_run(self, request: OpenRun) -> RunOpened:
        self.asked.append(f"open_run {request.job_id}")
        stages = (JobType.TRANSCRIBE, JobType.MINE, JobType.FLAGSHIP)
        return RunOpened(
            attempt=1,
            run_id=f"run of {request.job_id}",
            stages=stages if request.job_id.startswith("pipeline") else (),
        )

    @activity.defn(name=names.OPEN_STAGE)
    async def open_stage(self, request: OpenStage) -> StageOpened:
        self.asked.append(f"open_stage {request.stage.value}")
        self.opened.append(request)
        done = DONE if request.stage in self._finished else None
        return StageOpened(job_id=f"{request.stage.value}-1", done=done)

    @activity.defn(name=names.SAVE_STAGE)
    async def save_stage(self, request: SaveStage) -> None:
        self.asked.append(f"save_stage {request.stage.value}")

    @activity.defn(name=names.CLOSE_PIPELINE)
    async def close_pipeline(self, request: StageRequest) -> StageDone:
        self.asked.append(f"close_pipeline {request.job_id}")
        return DONE

    @activity.defn(name=names.FAIL_RUN)
    async def fail_run(self, request: FailRun) -> None:
        self.failed.append(request)

    @activity.defn(name=names.MARK_RUN)
    async def mark_run(self, request: MarkRun) -> None:
        self.marked.append(request)

    @activity.defn(name=names.OPEN_NEXT)
    async def open_next(self, request: OpenNext) -> NextOpened:
        """Jobs of this harness are named <type>-<rest>: the next one keeps the rest."""
        self.asked.append(f"open_next {request.job_id}")
        kind, _, rest = request.job_id.partition("-")
        following = next_stage(JobType(kind), JobConfig())
        if following is None:
            return NextOpened()
        return NextOpened(job_id=f"{following.value}-{rest}", type=following)

    @activity.defn(name=names.TRANSCRIBE_AUDIO)
    async def transcribe_audio(self, request: StageRequest) -> StageDone:
        self.asked.append("transcribe_audio")
        return self._stage("transcribe")

    @activity.defn(name=names.MINE_TRANSCRIPT)
    async def mine_transcript(self, request: StageRequest) -> StageDone:
        self.asked.append("mine_transcript")
        return self._stage("mine")

    @activity.defn(name=names.EVALUATE_CLAIMS)
    async def evaluate_claims(self, request: StageRequest) -> StageDone:
        self.asked.append("evaluate_claims")
        return self._stage("flagship")


@asynccontextmanager
async def serving(
    client: Client, activities: RecordedActivities, queues: Sequence[str] = names.QUEUES
) -> AsyncIterator[None]:
    """Uncached workers on the queues: every workflow task replays the whole history."""
    orchestration: list[Callable[..., Any]] = [
        activities.open_run,
        activities.open_stage,
        activities.save_stage,
        activities.close_pipeline,
        activities.fail_run,
        activities.mark_run,
        activities.open_next,
    ]
    async with AsyncExitStack() as stack:
        for queue, functions in {
            names.ORCHESTRATION_QUEUE: orchestration,
            names.SPEECH_QUEUE: [activities.transcribe_audio],
            names.LLM_QUEUE: [activities.mine_transcript, activities.evaluate_claims],
        }.items():
            if queue not in queues:
                continue
            worker = Worker(
                client,
                task_queue=queue,
                workflows=WORKFLOWS if queue == names.ORCHESTRATION_QUEUE else (),
                activities=functions,
                max_cached_workflows=0,
            )
            await stack.enter_async_context(worker)
        yield


def new_id(job_type: JobType) -> str:
    """A workflow id nobody has used."""
    return f"{job_type.value}-{uuid.uuid4().hex[:16]}"
