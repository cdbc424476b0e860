"""One attempt at one step: its unit is done, or read back, through the loop of all units."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from stope.errors import PermanentError
from stope.models.job import JobRun
from stope.models.progress import StageProgress
from stope.models.steps import StepRecord
from stope.steps.checkpoint import timestamp
from stope.steps.context import StepContext
from stope.steps.definition import Step
from stope.steps.opening import RECORD_STAGE
from stope.steps.store import ValueStore, referred
from stope.steps.uses import UsesLog, hold_uses
from stope.units import Tally, Unit, UnitStore, run_units


class StepWork:
    """Does a step.

    Args:
        run: the run that it belongs to.
        step: which.
        context: what it works with.
        identity: the digest of everything that decides what it gives.
        key: under which its record is committed.
        units: on behalf of the run.
        values: of this process.
        uses: what the context's store and ``values`` tell of what passes through them.
    """

    def __init__(
        self,
        run: JobRun,
        step: Step,
        context: StepContext[Any],
        identity: str,
        key: str,
        units: UnitStore,
        values: ValueStore,
        uses: UsesLog,
    ) -> None:
        self.run = run
        self.context = context
        self.started_at = timestamp()
        self._step = step
        self._identity = identity
        self.key = key
        self._units = units
        self._values = values
        self._uses = uses

    @property
    def progress(self) -> StageProgress:
        """Where it stands."""
        return self.context.progress

    async def record(self) -> StepRecord:
        """What the step gave, by this attempt or an earlier one.

        Raises:
            StopeError: it cannot be done, or not by this attempt.
        """

        async def unreported(_tally: Tally) -> None:
            """Its own units are what is worth saying."""

        done = await run_units(
            [Unit(self._step.name, self.key, None)],
            self._do,
            stage=RECORD_STAGE,
            store=self._units,
            output=StepRecord,
            concurrency=1,
            report=unreported,
            draining=self.context.draining,
            leases=self.context.leases,
        )
        record = done.outputs[self._step.name]
        if record.run_id != self.run.run_id:
            await hold_uses(self._uses.artifacts, record)
        return record

    async def _do(self, _unit: Unit[None]) -> StepRecord:
        began = time.monotonic()
        gives = await self._step.do(self.context)
        context = self.context
        entries = await self._entries(gives)
        counts = self._values.counts
        return StepRecord(
            step=self._step.name,
            identity=self._identity,
            run_id=self.run.run_id,
            attempt=context.attempt,
            started_at=self.started_at,
            finished_at=timestamp(),
            duration=round(time.monotonic() - began, 3),
            gives=entries,
            uses=await self._uses.stored(map(referred, [*entries.values(), *context.entries])),
            metadata=context.metadata
            | {
                "units": context.units_done + context.units_reused,
                "units_reused": context.units_reused,
                "context": {
                    "from_memory": counts.from_memory,
                    "from_storage": counts.from_storage,
                },
            },
            gaps=tuple(context.gaps),
        )

    async def _entries(self, gives: Mapping[str, object]) -> dict[str, object]:
        """What the step gives, as it stands in the context."""
        if set(gives) != set(self._step.gives):
            raise PermanentError(
                f"The step {self._step.name} declares that it gives "
                f"{', '.join(self._step.gives) or 'nothing'}, and gave "
                f"{', '.join(gives) or 'nothing'}; mend its function or its declaration."
            )
        return {
            name: await self._values.entry(name, gives[name], kind)
            for name, kind in self._step.gives.items()
        }
