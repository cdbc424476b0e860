"""A step pipeline whose steps do what a script says, and its worker on a real server.

``gather`` gives an array and ``look`` loops over units; ``paint`` is optional, and ``frame`` needs
what it gives; ``close`` is required.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from activities.beating import RecordBeats
from activities.runs import RunActivities
from activities.services import Services, open_services
from activities.steps import StepActivities
from client import JobClient
from stope import names
from stope.errors import InputError, StopeError, UnitError
from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.settings import Settings
from stope.steps.context import StepContext
from stope.steps.definition import Step, StepPipeline
from stope.steps.identity import checkpoint_path
from stope.steps.registry import load_pipelines
from stope.steps.values import Picture
from stope.units import Unit
from worker import HEARTBEAT_THROTTLE, WORKFLOWS

MODULE = "tests.workflows.scripted_steps"
UNITS = 3


class Config(Frozen):
    scale: int = 2


class Seen(BaseModel):
    value: int


@dataclass
class Script:
    """What steps and units meet, by name. ``done`` lists all that was begun, in order."""

    done: list[str] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    gaps: set[str] = field(default_factory=set)
    types: list[type] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the worker has learned that the activity of ``look`` is to end."""

    def fail(self, name: str, *errors: Exception) -> None:
        """That step or unit fails so many times."""
        self.errors[name] = list(errors)

    def hold(self, name: str) -> asyncio.Event:
        """That step or unit waits for the event, once it is begun."""
        self.held[name] = asyncio.Event()
        return self.held[name]

    async def begin(self, name: str) -> None:
        self.done.append(name)
        if name in self.held:
            await self.held[name].wait()
        if self.errors.get(name):
            raise self.errors[name].pop(0)

    async def begun(self, name: str) -> bool:
        return name in self.done

    async def told_to_stop(self) -> bool:
        return self.stopped.is_set()

    def steps(self) -> list[str]:
        """The steps that were begun, in order."""
        return [name for name in self.done if not name.startswith("unit")]


script = Script()
"""Of the test that runs: a pipeline is found by its module, so its script is there, too."""


async def _store_apart(step: StepContext[Config]) -> None:
    """Store what is named in the metadata only, as what a step gives may name pictures."""
    text = f"{step.step} of {step.files[0].path}"
    step.metadata["apart"] = await step.put(text.encode())


async def gather(step: StepContext[Config]) -> Mapping[str, object]:
    await script.begin("gather")
    await _store_apart(step)
    (step.scratch / "half").write_text("made on the way")
    step.metadata["files"] = len(step.files)
    return {"base": np.arange(UNITS, dtype=np.int16) * step.config.scale}


async def look(step: StepContext[Config]) -> Mapping[str, object]:
    await script.begin("look")
    base = await step.need("base", np.ndarray)
    script.types.append(type(base))
    assert base.dtype == np.int16

    async def do(unit: Unit[int]) -> Seen:
        await script.begin(unit.id)
        if unit.id in script.gaps:
            raise UnitError(f"{unit.id} is torn.")
        return Seen(value=unit.item + 1)

    units = [step.unit(f"unit_{at}", int(value), at) for at, value in enumerate(base)]
    stopping = asyncio.create_task(_note_stop())
    try:
        done = await step.run_units(units, do, output=Seen)
    finally:
        stopping.cancel()
    return {"seen": {name: out.value for name, out in done.outputs.items()}}


async def _note_stop() -> None:
    await activity.wait_for_cancelled()
    script.stopped.set()


async def paint(step: StepContext[Config]) -> Mapping[str, object]:
    await script.begin("paint")
    base = await step.need("base", np.ndarray)
    return {"picture": Picture(base.astype(np.uint8).reshape(1, -1))}


async def frame(step: StepContext[Config]) -> Mapping[str, object]:
    await script.begin("frame")
    picture = await step.need("picture", Picture)
    script.types.append(type(picture))
    return {"framed": Picture(np.pad(picture.pixels, 1))}


async def close(step: StepContext[Config]) -> Mapping[str, object]:
    await script.begin("close")
    await _store_apart(step)
    if "close" in script.gaps:
        step.add_gap("lid", "The lid is torn.")
    seen = await step.need("seen", dict)
    return {"sum": sum(seen.values()), "all": np.array(list(seen.values()), "<i4")}


PIPELINE = StepPipeline(
    name="scripted",
    version=1,
    config=Config,
    steps=(
        Step("gather", gather, gives={"base": np.ndarray}),
        Step("look", look, needs=("base",), gives={"seen": dict}, queue=names.VISION_QUEUE),
        Step("paint", paint, needs=("base",), gives={"picture": Picture}, required=False),
        Step("frame", frame, needs=("picture",), gives={"framed": Picture}, required=False),
        Step("close", close, needs=("seen",), gives={"sum": int, "all": np.ndarray}),
    ),
    outputs=("sum", "all", "framed"),
)


class StepsLab:
    """A home with records of its own; its artifacts may be another's. Workers come and go."""

    def __init__(self, temporal: Client, services: Services) -> None:
        self.temporal = temporal
        self.services = services
        self.settings = services.settings
        self.home = services.settings.home
        self.activities = StepActivities(services, load_pipelines(services.settings))

    def client(self) -> JobClient:
        return JobClient(self.settings, self.temporal)

    def file(self, content: str = "some bytes") -> Path:
        path = self.home / "input.bin"
        path.write_text(f"{content} of {self.home}")
        return path

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Uncached workers: every workflow task replays the whole history."""
        runs = RunActivities(self.services)
        # As in a process that has just started: nothing is in its memory.
        self.activities = steps = StepActivities(self.services, load_pipelines(self.settings))
        around = [
            *(runs.open_run, runs.mark_run, runs.fail_run),
            *(steps.open_steps, steps.note_step, steps.close_steps),
        ]
        async with AsyncExitStack() as stack:
            for queue in (names.ORCHESTRATION_QUEUE, names.VISION_QUEUE):
                orchestrates = queue == names.ORCHESTRATION_QUEUE
                await stack.enter_async_context(
                    Worker(
                        self.temporal,
                        task_queue=queue,
                        workflows=WORKFLOWS if orchestrates else (),
                        activities=[*(around if orchestrates else ()), steps.run_step],
                        max_cached_workflows=0,
                        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
                        interceptors=[RecordBeats()],
                    )
                )
            yield

    async def kept(self, run_guid: str) -> bytes | None:
        """The checkpoint file, if there is one."""
        return await self.services.artifacts.read_named(checkpoint_path(run_guid))

    async def replays(self, workflow_id: str) -> None:
        handle = self.temporal.get_workflow_handle(workflow_id)
        replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
        await replayer.replay_workflow(await handle.fetch_history())


@asynccontextmanager
async def open_steps_lab(
    home: Path, temporal: Client, server: Settings, **settings: Any
) -> AsyncIterator[StepsLab]:
    await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
    services = await open_services(
        Settings(
            home=home,
            temporal_address=None,
            temporal_port=server.temporal_port,
            pipelines=MODULE,
            **settings,
        )
    )
    try:
        yield StepsLab(temporal, services)
    finally:
        await services.close()


def parts_of(result: JsonObject) -> JsonObject:
    """The ``result`` part of a final result."""
    parts = result["result"]
    assert isinstance(parts, dict)
    return parts


def failure(sentence: str) -> StopeError:
    """An error of a step that no other try mends."""
    return InputError(sentence)
