"""Our side: the real worker, the real mine workflow and activity, and the library's unit loop.

Only what a unit does is another: one call through the ledger instead of a segment's mining. Leases,
ledger, commits, heartbeats and the mirror are as every stage has them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import activities.mine
from benchmarks.bench.child import serve
from benchmarks.bench.units.work import (
    STAGE,
    Reply,
    SideDone,
    SideWork,
    check_count,
    request_of,
)
from client import JobClient, connect_temporal
from stope.identity import digest_of
from stope.llm.chat import ChatAnswer, ChatModel, ChatRequest
from stope.llm.ledger import Ledger
from stope.models.checkpoint import MineCheckpoint
from stope.models.job import JobType, JsonObject
from stope.settings import load_settings
from stope.stage import StageOutcome, StageRun, percent, status_of
from stope.units import Tally, Unit, UnitStore, run_units
from worker import run_worker

Moments = list[tuple[float, float]]


class SegmentStage:
    """Stands in for ``stope.mining.stage.mine``: a unit is one call."""

    def __init__(self) -> None:
        self.work = SideWork(name="", segments=1, slots=1)
        self.stored = 0
        self.units: Moments = []
        self.calls: Moments = []

    async def __call__(
        self,
        run: StageRun[MineCheckpoint],
        *,
        units: UnitStore,
        open_ledger: Callable[[str], Awaitable[Ledger]],
        **_unused: object,
    ) -> StageOutcome:
        """One attempt; what it took is kept for whoever asked."""
        work, checkpoint = self.work, run.checkpoint
        self.units, self.calls = [], []
        checkpoint.stage = "mining"
        checkpoint.total_segments = work.segments
        await run.enter("mining")
        ledger = await open_ledger(run.job.config.miner_model)
        ledger.model = _Noted(ledger.model, self.calls)

        async def do(unit: Unit[int]) -> Reply:
            began = time.perf_counter()
            reply = await ledger.ask(request_of(ledger.model, work.name, unit.item), Reply)
            self.units.append((began, time.perf_counter()))
            return reply

        async def report(tally: Tally) -> None:
            checkpoint.completed_segments = tally.committed
            checkpoint.progress_percent = percent(len(tally.committed), tally.total)
            await run.advance(tally)

        plan = [
            Unit(f"seg_{number + 1:04d}", digest_of([STAGE, work.name, number]), number)
            for number in range(work.segments)
        ]
        done = await run_units(
            plan,
            do,
            stage=STAGE,
            store=units,
            output=Reply,
            concurrency=work.slots,
            report=report,
            draining=run.draining,
            leases=run.leases,
        )
        self.stored = len(await units.read_outputs([unit.key for unit in plan]))
        outcome = StageOutcome(
            status=status_of(done.gaps), output_id=work.name, result={}, gaps=done.gaps
        )
        checkpoint.stage = "completed"
        checkpoint.final_result = outcome.final_result()
        await run.enter("completed")
        return outcome


class _Noted:
    """A model whose calls are noted: when each began and ended."""

    def __init__(self, model: ChatModel, calls: Moments) -> None:
        self._model = model
        self._calls = calls
        self.identity = model.identity
        self.parallel = model.parallel
        self.context = model.context
        self.complete_answers = model.complete_answers

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """See ``ChatModel``."""
        began = time.perf_counter()
        answer = await self._model.complete(request)
        self._calls.append((began, time.perf_counter()))
        return answer

    def doubt(self, answer: ChatAnswer) -> None:
        """See ``ChatModel``."""
        self._model.doubt(answer)


class UnitLoop:
    """A client and a worker in one process, as the other sides have it."""

    def __init__(self) -> None:
        self._settings = load_settings()
        self._stage = SegmentStage()
        self._client: JobClient | None = None
        self._worker: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()

    async def __call__(self, request: JsonObject) -> JsonObject:
        """One piece of work, timed from the client's call to its result."""
        work = SideWork.model_validate(request)
        client = await self._open()
        source = self._settings.home / f"{work.name}.txt"
        await asyncio.to_thread(source.write_text, f"{work.name} is what this is about.\n")
        job_id = await client.create_job(JobType.MINE, source)
        self._stage.work = work
        began = time.perf_counter()
        await client.process_job(job_id, max_workers=work.slots)
        seconds = time.perf_counter() - began
        check_count(self._stage.stored, work)
        return SideDone(
            seconds=seconds,
            after_output=_between(self._stage.units) if work.slots == 1 else (),
            after_call=_between(self._stage.calls) if work.slots == 1 else (),
        ).model_dump(mode="json")

    async def _open(self) -> JobClient:
        if self._client is None:
            activities.mine.mine = self._stage  # type: ignore[attr-defined]  # not exported
            temporal = await connect_temporal(self._settings)
            polling = asyncio.Event()
            self._worker = asyncio.create_task(
                run_worker(self._settings, temporal, self._leave, started=polling.set)
            )
            await asyncio.wait(
                {self._worker, asyncio.create_task(polling.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._client = await JobClient(self._settings, temporal).__aenter__()
        return self._client

    async def close(self) -> None:
        """Let the worker leave."""
        self._leave.set()
        if self._worker is not None:
            await self._worker
        if self._client is not None:
            await self._client.__aexit__(None, None, None)


def _between(moments: Moments) -> tuple[float, ...]:
    return tuple(after[0] - before[1] for before, after in pairwise(moments))


if __name__ == "__main__":
    side = UnitLoop()
    serve(side, side.close)
