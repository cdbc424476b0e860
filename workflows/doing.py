"""Work done by one activity at a time, ended and done again around every pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from stope.models.messages import Changes, JobRequest, Limits, RunOptions

from workflows.pausing import PausableWorkflow, is_cancelled, limit_reached, was_stopped

DoneT = TypeVar("DoneT")


class ActivityWorkflow(PausableWorkflow):
    """The base of every workflow that has its work done by activities."""

    def __init__(self) -> None:
        super().__init__()
        self._activity: workflow.ActivityHandle[Any] | None = None
        self._given: RunOptions | None = None
        """What the activity was told."""

    async def do_activity(
        self,
        request: JobRequest,
        run_id: str,
        start: Callable[[RunOptions], workflow.ActivityHandle[DoneT]],
    ) -> DoneT:
        """The activity that ``start`` starts, done again after every pause."""
        while True:
            await self.wait_while_paused(request, run_id)
            self._given = options = self.options_now(request)
            self._activity = activity = start(options)
            try:
                return await activity
            except (FailureError, asyncio.CancelledError) as error:
                limit = limit_reached(error)
                if is_cancelled() or not (limit or was_stopped(error)):
                    raise
                if not self._is_outdated():
                    # Else there is a new limit already, and the next attempt keeps to that.
                    self.pausing = self.pausing or limit
            finally:
                self._activity = None

    async def pass_on_pause(self, message: str) -> None:
        """End the activity; what it has in flight is committed."""
        if self._activity is not None:
            self._activity.cancel()

    async def pass_on_unpause(self, limits: Limits) -> None:
        """With new limits, another activity takes over; what is in flight is committed."""
        if self._activity is not None and self._is_outdated():
            self._activity.cancel()

    async def pass_on_changes(self, changes: Changes) -> None:
        """The same for every change that an activity is told of."""
        if self._activity is not None and self._is_outdated():
            self._activity.cancel()

    def _is_outdated(self) -> bool:
        """Whether the activity was told something else than it would be told now."""
        given = self._given
        return given is not None and _told(given) != _told(self.changed(given))


def _told(options: RunOptions) -> tuple[int | None, float | None, int | None]:
    return options.max_workers, options.max_usd, options.max_tokens
