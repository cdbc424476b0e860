"""What a step is given to work with: its needs, its units, its place to store things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from stope.artifacts import ArtifactStore
from stope.errors import UsageError
from stope.identity import digest_of
from stope.leases import Leases
from stope.models.gap import Gap
from stope.models.job import InputFile, JsonObject
from stope.models.progress import NOTE_BYTES, StageProgress, gap_notes, shortened
from stope.settings import Settings
from stope.sources.digests import DigestMemory
from stope.sources.source import Source
from stope.steps.definition import Step
from stope.steps.inputs import StepInputs
from stope.steps.store import ValueStore
from stope.units import Tally, Unit, UnitOutputs, UnitStore, run_units, stored_plan

ConfigT = TypeVar("ConfigT", bound=BaseModel)
Item = TypeVar("Item")
Output = TypeVar("Output", bound=BaseModel)
PlanModel = TypeVar("PlanModel", bound=BaseModel)
T = TypeVar("T")

WORKING = "working"
"""What a running step says of itself: a step has no stages of its own."""

_STAGE_CHARACTERS = 16


Beat = Callable[[StageProgress], None]


def _unseen(_progress: StageProgress) -> None:
    """Before an attempt begins nobody sees its progress."""


class StepContext(Generic[ConfigT]):
    """One attempt at one step.

    Attributes:
        config: of the pipeline.
        files: the input. They are read, and never moved, changed or deleted.
        pipeline: its name.
        step: its name.
        run_guid: of the run.
        attempt: of the step, in this run; the first is 1.
        scratch: a folder of the step on this machine. What lies in it may be gone at any time:
            another machine may go on. It is removed when the whole run has succeeded.
        artifacts: the store; what is put or read is kept for the run.
        settings: of the process.
        draining: set when this worker is leaving.
        leases: what this attempt holds.
        metadata: JSON values that the step's summary shows.
    """

    def __init__(
        self,
        *,
        config: ConfigT,
        files: tuple[InputFile, ...],
        pipeline: str,
        step: Step,
        run_guid: str,
        attempt: int,
        scratch: Path,
        artifacts: ArtifactStore,
        settings: Settings,
        context: Mapping[str, object],
        values: ValueStore,
        units: UnitStore,
        unit_seed: Sequence[object],
        max_workers: int | None,
        digests: DigestMemory | None = None,
    ) -> None:
        self.config = config
        self.files = files
        self.pipeline = pipeline
        self.step = step.name
        self.run_guid = run_guid
        self.attempt = attempt
        self.scratch = scratch
        self.artifacts = artifacts
        self.settings = settings
        self.draining = asyncio.Event()
        self.metadata: JsonObject = {}
        self.gaps: list[Gap] = []
        self.progress = StageProgress(job_type=step.name, stage=WORKING)
        self.units_done = self.units_reused = 0
        self._inputs = StepInputs(artifacts, digests)
        self._needs = step.needs
        self._context = context
        self._values = values
        self._units = units
        self._unit_seed = unit_seed
        self.leases: Leases | None = None
        self._max_workers = max_workers
        self._beat: Beat = _unseen

    def begin(self, beat: Beat, draining: asyncio.Event, leases: Leases | None) -> None:
        """Say who sees the progress, who says when to leave, and what the attempt holds."""
        self._beat, self.draining, self.leases = beat, draining, leases
        self._beat(self.progress)

    def open(self, file: InputFile) -> AbstractAsyncContextManager[Source]:
        """One of ``files``, to be read: a path, a URL, or the copy of one.

        Its content is compared with the digest that the job was made for, once for each attempt;
        opened again, it is only looked at.

        Raises:
            InputError: it is gone or cannot be read, or has another content: what is made of it
                would be kept as if made of that.
            StorageUnavailableError: it is remote and cannot be reached now.
        """
        return self._inputs.open(file)

    async def read(self, file: InputFile) -> bytes:
        """All bytes of one of ``files``, compared with their digest.

        Raises:
            InputError: as ``open``.
            StorageUnavailableError: as ``open``.
        """
        return await self._inputs.read(file)

    @property
    def entries(self) -> list[object]:
        """What stands in the run's context for the step's needs."""
        return [self._context[name] for name in self._needs]

    async def need(self, name: str, kind: type[T]) -> T:
        """The value of one of the step's needs, of the type that was given. Not to be changed.

        Raises:
            UsageError: the step does not declare that it needs it.
            ArtifactError: it is absent or damaged, or of another type.
        """
        if name not in self._needs:
            raise UsageError(f"The step {self.step} does not declare that it needs {name!r}.")
        return await self._values.value(name, self._context[name], kind)

    async def put(self, value: object, name: str = "") -> str:
        """Store a value with a codec, such as a ``Picture``, and return its digest."""
        return await self._values.put(value, name)

    async def put_all(self, values: Iterable[object], name: str = "") -> list[str]:
        """``put`` for several; their digests, in order.

        What a generator does to make them is done in threads, and the event loop goes on. Some
        megabytes of them are stored together; what was stored before it raised stays.
        """
        return await self._values.put_all(values, name)

    async def load(self, digest: str, kind: type[T]) -> T:
        """The value of a digest; from memory where this process made or read it."""
        return await self._values.load(digest, kind)

    def unit_key(self, *decides: object) -> str:
        """The key of a unit of this step: the digest of everything that decides its output.

        What the pipeline is, its version, the input and the config that the step depends on are in
        it already; ``decides`` is the rest, canonical JSON or models.
        """
        return digest_of([*self._unit_seed, self.step, *decides])

    def unit(
        self,
        unit_id: str,
        item: Item,
        *decides: object,
        start: float | None = None,
        end: float | None = None,
    ) -> Unit[Item]:
        """A unit of this step; ``start`` and ``end`` are seconds in the input, for its gap."""
        return Unit(unit_id, self.unit_key(*decides), item, start, end)

    async def run_units(
        self,
        units: Sequence[Unit[Item]],
        do: Callable[[Unit[Item]], Awaitable[Output]],
        *,
        output: type[Output],
        concurrency: int | None = None,
    ) -> UnitOutputs[Output]:
        """Do the units without a committed output: ``stope.units.run_units``, with beats.

        Args:
            units: the plan.
            do: makes one unit's output; a ``UnitError`` is a gap, and the rest goes on.
            output: the type of an output.
            concurrency: units in flight at most; default: what the run was told, else one.
        """
        done = await run_units(
            units,
            do,
            stage=self.step[:_STAGE_CHARACTERS],
            store=self._units,
            output=output,
            concurrency=concurrency or self._max_workers or 1,
            report=self._advance,
            draining=self.draining,
            leases=self.leases,
        )
        self.gaps += [gap.model_copy(update={"stage": self.step}) for gap in done.gaps]
        self.units_done += len(done.outputs) - done.reused
        self.units_reused += done.reused
        return done

    async def plan(
        self, model: type[PlanModel], make: Callable[[], Awaitable[PlanModel]], *decides: object
    ) -> PlanModel:
        """A stored, immutable plan: made once, and read back by every later attempt."""
        key = self.unit_key("plan", model.__name__, *decides)
        stage = self.step[:_STAGE_CHARACTERS]
        return await stored_plan(self._units, key, stage, model, make)

    def add_gap(self, unit_id: str, reason: str) -> None:
        """Name something that could not be done; the run ends with gaps."""
        self.gaps.append(Gap(stage=self.step, unit_id=unit_id, reason=reason))

    def note(self, text: str | None) -> None:
        """Say what takes long just now, such as loading a model."""
        note = None if text is None else shortened(text, NOTE_BYTES)
        self.progress = self.progress.model_copy(update={"note": note})
        self._beat(self.progress)

    async def _advance(self, tally: Tally) -> None:
        self.progress = self.progress.model_copy(
            update={
                "done": len(tally.committed),
                "total": tally.total,
                "reused": tally.reused,
                "gaps": len(tally.gaps),
                "named": gap_notes(tally.gaps),
                "cursor": tally.cursor,
                "elapsed": round(tally.elapsed, 3),
                "note": None,
            }
        )
        self._beat(self.progress)
