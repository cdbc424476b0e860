"""Time-outs and retries of all activities, in one place, each with its reason."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

STAGE_TIMEOUT = timedelta(days=7)
"""A stage may take days on one machine; a vanished worker is noticed by its heartbeat instead."""

STAGE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=0,
)
"""No limit: what cannot succeed is marked non-retryable by ``activities/failures.py``."""

RECORD_TIMEOUT = timedelta(seconds=20)
"""A few rows in the records. Longer than SQLite's busy time-out, short enough that a worker killed
in the middle delays a job little."""

RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=15),
    maximum_attempts=0,
)
"""A database that is locked or restarting comes back."""
