"""Progress of a running stage for the workflows that show it: few signals, sent at leisure.

Every heartbeat is seen in the Web UI already, under Pending Activities. The tables and the search
attributes of a stage and its pipeline are made by workflows, and each signal to them stays in
history (up to five events). So only what moves a picture is sent, and a signal that is lost is not
sent again: the next one, or the stage's result, says more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowHandle

from stope import names
from stope.models.messages import ProgressReport, StageRequest
from stope.models.progress import GAPS_NAMED, StageProgress

log = logging.getLogger(__name__)

STEPS = 5
"""A stage is reported when its share of finished units reaches another fifth."""

GATHER_SECONDS = 1.0
"""A report waits so long for what follows at once: a stage that begins has enough to do."""

PAUSE_SECONDS = 5.0
"""Between two reports: each costs the server, and two workflows, more than a unit of ours does."""

_NO_PLAN = -1

_RPC_TIMEOUT = timedelta(seconds=5)


class Milestones:
    """Which progress is worth a signal, so that history is bounded over all attempts.

    In the first attempt: every change of the checkpoint's stage, the plan, every fifth, the first
    few gaps and then every doubling of them. A later one first goes over what is known, perhaps
    thousands of times while a provider is away: it is silent until it has committed a unit of its
    own, and its gaps, which may be the same ones again, are told with the next fifth. Units are
    committed once, so the fifths of all attempts together are five.
    """

    def __init__(self, attempt: int) -> None:
        self._first = attempt == 1
        self._news = self._first
        self._last: tuple[str, int, int] | None = None

    def reached(self, progress: StageProgress) -> bool:
        """Whether this is worth a signal; asked once for each."""
        share = STEPS * progress.done // progress.total if progress.total else _NO_PLAN
        milestone = (progress.stage, share, _level(progress.gaps) if self._first else 0)
        self._news = self._news or progress.done > progress.reused
        if milestone == self._last:
            return False
        self._last = milestone
        return self._news


def _level(gaps: int) -> int:
    """One higher for each gap that is named, then for each doubling."""
    return gaps if gaps <= GAPS_NAMED else GAPS_NAMED + gaps.bit_length()


@asynccontextmanager
async def reporting(request: StageRequest) -> AsyncIterator[Callable[[StageProgress], None]]:
    """Gives a function that takes all progress at once and sends its milestones in the background.

    What is still unsent at the end is left out: the stage's result is about to say more.
    """
    attempt = activity.info().attempt
    milestones = Milestones(attempt)
    latest: StageProgress | None = None
    wake = asyncio.Event()

    def report(progress: StageProgress) -> None:
        nonlocal latest
        latest = progress
        if milestones.reached(progress):
            wake.set()

    async def send() -> None:
        targets = _targets(request)
        while True:
            await wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            wake.clear()
            if latest is not None:
                message = ProgressReport(attempt=attempt, progress=latest)
                await asyncio.gather(*(_signal(target, message) for target in targets))
            await asyncio.sleep(PAUSE_SECONDS - GATHER_SECONDS)

    task = asyncio.create_task(send())
    try:
        yield report
    finally:
        task.cancel()
        [error] = await asyncio.gather(task, return_exceptions=True)
        if isinstance(error, Exception):
            log.warning("progress could not be shown in the Web UI: %s", error)


def _targets(request: StageRequest) -> list[WorkflowHandle[Any, Any]]:
    """The stage's own workflow, and the pipeline it is a stage of."""
    client, info = activity.client(), activity.info()
    found = [client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)]
    if request.pipeline_id is not None:
        found.append(client.get_workflow_handle(request.pipeline_id))
    return found


async def _signal(target: WorkflowHandle[Any, Any], message: ProgressReport) -> None:
    try:
        await target.signal(names.REPORT_PROGRESS, message, rpc_timeout=_RPC_TIMEOUT)
    except Exception as error:  # noqa: BLE001  (a picture in the Web UI never fails the work)
        log.info("progress was not shown on the page of %s: %s", target.id, error)
