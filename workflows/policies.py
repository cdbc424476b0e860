"""Time-outs and retries of all activities, in one place, each with its reason."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from stope.models.messages import RunOptions

STAGE_TIMEOUT = timedelta(days=7)
"""A stage may take days on one machine; a vanished worker is noticed by its heartbeat instead."""

STAGE_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=1,
    maximum_attempts=0,
)
"""No limit: what cannot succeed is marked non-retryable by ``activities/failures.py``. A vanished
worker's work moves on at once, however many vanished before; errors bring the seconds to wait along
(``activities/backoff.py``)."""

RECORD_TIMEOUT = timedelta(seconds=20)
"""A few rows in the records: longer than SQLite's busy time-out. A worker killed in the middle is
noticed by its heartbeat, as in a stage."""

RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=15),
    maximum_attempts=0,
)
"""A database that is locked or restarting comes back."""

OPEN_STEPS_TIMEOUT = timedelta(hours=2)
"""What a run kept is read once, to see that it is whole; perhaps from far away. It beats."""

KEEPING_TIMEOUT = timedelta(hours=2)
"""A large database is written anew when its space is given back."""

KEEPING_BEAT = timedelta(seconds=30)
"""It beats several times in this while (``activities/beating.py``), so that a worker that vanished
is noticed long before the time-out."""

KEEPING_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=10),
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=5,
)
"""What cannot be cleared out today can be tomorrow: the schedule comes again."""

_TASK_SECONDS = (2.0, 10.0)


def beat_timeout(options: RunOptions) -> timedelta:
    """How long an activity may be silent."""
    return timedelta(seconds=options.heartbeat_timeout)


def task_timeout(heartbeat_seconds: float) -> timedelta:
    """How long a worker may take for a workflow task, before another one gets it.

    It takes milliseconds; the limit is for workers that vanish with one. Temporal's own is 10 s.
    """
    least, most = _TASK_SECONDS
    return timedelta(seconds=min(most, max(least, heartbeat_seconds)))
