"""The phases of one evaluation: each is a run of units, and together they are one progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from stope.errors import StageFailedError
from stope.flagship.asking import task_version
from stope.identity import digest_of
from stope.llm.ledger import Ledger
from stope.models.checkpoint import FlagshipCheckpoint
from stope.models.claim import Claim
from stope.models.gap import Gap
from stope.stage import StageRun
from stope.units import Tally, Unit, UnitOutputs, UnitStore, run_units, stored_plan

STAGE = "flagship"

Item = TypeVar("Item")
PlanModel = TypeVar("PlanModel", bound=BaseModel)
Output = TypeVar("Output", bound=BaseModel)

_NOTES = {
    "merge": "comparing claims",
    "split": "taking compound claims apart",
    "exam": "examining the model",
    STAGE: "judging claims",
    "summary": "summing up",
    "themes": "naming themes",
}


class Phases:
    """Runs phases one after another.

    Args:
        run: the attempt whose progress is reported.
        store: where plans and outputs are committed.
        ledger: whom the units ask.
    """

    def __init__(self, run: StageRun[FlagshipCheckpoint], store: UnitStore, ledger: Ledger) -> None:
        self.gaps: tuple[Gap, ...] = ()
        self._run = run
        self._store = store
        self._model = ledger.model.identity
        self._concurrency = run.max_workers or ledger.model.parallel
        self._before = Tally(total=0)
        self._units_done = 0
        self._units_reused = 0
        self._seconds = 0.0
        self._ahead: dict[str, int] = {}

    def expect(self, **ahead: int) -> None:
        """About how many units later phases will have, so that progress does not begin anew."""
        self._ahead |= ahead

    async def plan(
        self,
        phase: str,
        model: type[PlanModel],
        make: Callable[[], Awaitable[PlanModel]],
        *basis: object,
    ) -> PlanModel:
        """The stored plan of a phase; ``basis`` is everything that decides it."""
        key = digest_of([STAGE, phase, "plan", self._run.job.namespace, *basis])
        return await stored_plan(self._store, key, STAGE, model, make)

    def unit(
        self, name: str, item: Item, task: str, content: object, claims: Sequence[Claim] = ()
    ) -> Unit[Item]:
        """A unit whose key names the model, the task's text, and what it is shown.

        Args:
            name: its id in the plan.
            item: what it works on.
            task: the name of its prompt.
            content: all that the model is shown and checked against.
            claims: which it is about, for naming a gap.
        """
        key = [STAGE, task, self._run.answers_namespace, self._model, task_version(task), content]
        return Unit(
            id=name,
            key=digest_of(key),
            item=item,
            start=claims[0].evidence[0].start if claims else None,
            end=claims[-1].evidence[0].end if claims else None,
        )

    def metrics(self) -> dict[str, object]:
        """All phases as numbers for the run's record."""
        return {
            "units_done": self._units_done,
            "units_reused": self._units_reused,
            "engine_seconds": round(self._seconds, 3),
        }

    async def do(
        self,
        phase: str,
        units: Sequence[Unit[Item]],
        work: Callable[[Unit[Item]], Awaitable[Output]],
        output: type[Output],
        *,
        needed: bool = False,
        committed: Callable[[Tally], None] = lambda _: None,
    ) -> dict[str, Output]:
        """The outputs of a phase by unit id; what has none is among the gaps.

        Args:
            phase: its name in the store and in gaps.
            units: the plan.
            work: makes one unit's output.
            output: the type of an output.
            needed: whether the run fails if not one unit can be done.
            committed: told after every commit how far this phase is.

        Raises:
            StageFailedError: the phase is needed, and not one of its units has an output.
        """
        self._ahead.pop(phase, None)
        self._run.note(_NOTES.get(phase))
        latest = Tally(total=len(units))

        async def report(tally: Tally) -> None:
            nonlocal latest
            latest = tally
            committed(tally)
            await self._run.advance(self._together(tally))

        try:
            done = await run_units(
                units,
                work,
                stage=phase,
                store=self._store,
                output=output,
                concurrency=self._concurrency,
                report=report,
                draining=self._run.draining,
                leases=self._run.leases,
            )
        except StageFailedError as error:
            if needed:
                raise
            done = UnitOutputs({}, _all_gaps(phase, units, error), 0, 0.0)
        latest.gaps = list(done.gaps)
        self._before = self._together(latest)
        self._before.total -= sum(self._ahead.values())
        self.gaps += done.gaps
        self._units_done += len(done.outputs) - done.reused
        self._units_reused += done.reused
        self._seconds += done.engine_seconds
        return done.outputs

    def _together(self, tally: Tally) -> Tally:
        before = self._before
        return Tally(
            total=before.total + tally.total + sum(self._ahead.values()),
            committed=before.committed + tally.committed,
            reused=before.reused + tally.reused,
            gaps=before.gaps + tally.gaps,
            cursor=tally.cursor or before.cursor,
            waiting=tally.waiting,
            elapsed=before.elapsed + tally.elapsed,
            engine_seconds=before.engine_seconds + tally.engine_seconds,
        )


def _all_gaps(phase: str, units: Sequence[Unit[Item]], error: StageFailedError) -> tuple[Gap, ...]:
    return tuple(
        Gap(stage=phase, unit_id=unit.id, reason=str(error), start=unit.start, end=unit.end)
        for unit in units
    )
