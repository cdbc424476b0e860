"""The worker: settings → stores and engines → one Temporal worker per task queue.

``python worker.py`` (or ``stope worker``) runs one until SIGTERM or SIGINT, then drains: units in
flight are committed, the rest is left to other workers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.beating import RecordBeats
from activities.flagship import FlagshipActivities
from activities.keeping import KeepingActivities
from activities.mine import MineActivities
from activities.runs import RunActivities
from activities.services import Services, open_services
from activities.steps import StepActivities
from activities.transcribe import TranscribeActivities
from activities.upload import UploadActivities
from client import connect_temporal
from search_attributes import register_search_attributes
from stope import __version__, names
from stope.errors import StopeError, UsageError
from stope.settings import Settings, load_settings
from stope.steps.registry import load_pipelines
from workflows.episode import PipelineWorkflow
from workflows.flagship import FlagshipWorkflow
from workflows.keeping import GcWorkflow
from workflows.mine import MineWorkflow
from workflows.steps import StepPipelineWorkflow
from workflows.transcribe import TranscribeWorkflow
from workflows.upload import UploadWorkflow

log = logging.getLogger(__name__)

WORKFLOWS = (
    PipelineWorkflow,
    TranscribeWorkflow,
    MineWorkflow,
    FlagshipWorkflow,
    UploadWorkflow,
    StepPipelineWorkflow,
    GcWorkflow,
)

DRAIN_TIMEOUT = timedelta(minutes=20)
"""How long units in flight may take after SIGTERM; a second signal ends the wait."""

HEARTBEAT_THROTTLE = timedelta(milliseconds=500)
"""The SDK would hold heartbeats back for up to a minute; ours are small, and people watch them.
Each costs the server as much as a small unit costs the worker: no more than people can see."""

BUILD_ID = f"stope-{__version__}"
"""What a worker is called in Temporal's Web UI beside its host. The SDK's own is a digest of all
modules that are loaded, which takes a second or two."""

STICKY_TIMEOUT = timedelta(milliseconds=300)
"""How long a workflow waits for the worker that knows it: a vanished one costs so much, twice where
a pipeline waits for its stage, and a busy one no more than a replay of a short history. Temporal's
own is 10 s."""

_STAGES_AT_ONCE = {
    names.ORCHESTRATION_QUEUE: 20,
    names.SPEECH_QUEUE: 1,
    names.LLM_QUEUE: 4,
    names.VISION_QUEUE: 2,
}


def build_workers(client: Client, services: Services, queues: Sequence[str]) -> list[Worker]:
    """One worker per queue, all on the same services.

    Workflows run outside of the SDK's sandbox, which imports their modules anew for each of them:
    that, and its watch over every activation, is most of the processor time of a short job. What
    the sandbox forbids is found by the tests of workflows and of histories, which run inside it.

    Raises:
        UsageError: a queue is unknown.
    """
    unknown = [queue for queue in queues if queue not in names.QUEUES]
    if unknown or not queues:
        raise UsageError(
            f"There is no queue {', '.join(unknown) or 'named'}; there are "
            f"{', '.join(names.QUEUES)}."
        )
    runs = RunActivities(services)
    # One for all queues: what a step of one made, a step of another finds in memory.
    steps = StepActivities(services, load_pipelines(services.settings))
    activities: dict[str, list[Callable[..., Any]]] = {
        names.ORCHESTRATION_QUEUE: [
            runs.open_run,
            runs.open_stage,
            runs.save_stage,
            runs.close_pipeline,
            runs.fail_run,
            runs.mark_run,
            runs.open_next,
            UploadActivities(services).upload_knowledge,
            KeepingActivities(services).collect_garbage,
            *(steps.open_steps, steps.note_step, steps.close_steps),
        ],
        names.SPEECH_QUEUE: [TranscribeActivities(services).transcribe_audio],
        names.LLM_QUEUE: [
            MineActivities(services).mine_transcript,
            FlagshipActivities(services).evaluate_claims,
        ],
        names.VISION_QUEUE: [],
    }
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=WORKFLOWS if queue == names.ORCHESTRATION_QUEUE else (),
            activities=[*activities[queue], steps.run_step],
            max_concurrent_activities=_STAGES_AT_ONCE[queue],
            graceful_shutdown_timeout=DRAIN_TIMEOUT,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            interceptors=[RecordBeats()],
            build_id=BUILD_ID,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        for queue in queues
    ]


async def run_worker(
    settings: Settings,
    client: Client,
    stop: asyncio.Event,
    *,
    queues: Sequence[str] = names.QUEUES,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Work until ``stop`` is set, then drain. ``started`` is called once all queues are polled."""
    services = await open_services(settings)
    try:
        if not await register_search_attributes(client):
            log.warning(
                "The Temporal server has no %s and does not let us add them; workflows go on "
                "without. An operator can: `temporal operator search-attribute create`.",
                ", ".join(f"{name} ({kind})" for name, kind in names.SEARCH_ATTRIBUTES.items()),
            )
        async with AsyncExitStack() as stack:
            for worker in build_workers(client, services, queues):
                await stack.enter_async_context(worker)
            log.info("worker: polling %s", ", ".join(queues))
            started()
            await stop.wait()
            log.info("worker: draining")
    finally:
        await services.close()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set the event on SIGTERM and SIGINT; a second signal ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            loop.remove_signal_handler(number)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


async def _main(queues: Sequence[str]) -> None:
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    stop = asyncio.Event()
    stop_on_signals(stop)

    def started() -> None:
        print(f"worker: polling {', '.join(queues)}", file=sys.stderr, flush=True)  # noqa: T201  (status)

    client = await connect_temporal(settings)
    await run_worker(settings, client, stop, queues=queues, started=started)


def main() -> int:
    """Run a worker for the queues named on the command line; all of them by default."""
    try:
        asyncio.run(_main(tuple(sys.argv[1:]) or names.QUEUES))
    except StopeError as error:
        print(f"stope: {error}", file=sys.stderr)  # noqa: T201  (status)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
