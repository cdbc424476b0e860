"""The error tree, translated to Temporal's failures. This is the only place that does it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from stope.errors import StopeError, TransientError, WorkerDrainingError

log = logging.getLogger(__name__)

UNEXPECTED_ATTEMPTS = 3
"""An error we did not foresee may be a passing one; after so many attempts it is not."""

_UNEXPECTED_DELAY = timedelta(seconds=1)
_DRAIN_DELAY = timedelta(milliseconds=100)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the library leave as ``ApplicationError``: retryable or not, and when."""
    try:
        yield
    except StopeError as error:
        log.info("%s: %s", error.code, error, exc_info=True)
        # Not chained: the causes' stack traces would make the failure too large for history, and
        # people would read "Failure exceeds size limit" in place of our sentence.
        raise failure_of(error) from None
    except Exception as error:
        attempt = activity.info().attempt
        log.exception("unexpected error in %s", activity.info().activity_type)
        raise ApplicationError(
            f"Unexpected {type(error).__name__}: {error}",
            type="Unexpected",
            non_retryable=attempt >= UNEXPECTED_ATTEMPTS,
            next_retry_delay=_UNEXPECTED_DELAY,
        ) from None


def failure_of(error: StopeError) -> ApplicationError:
    """The failure that stands for an error of ours."""
    delay: timedelta | None = None
    if isinstance(error, WorkerDrainingError):
        delay = _DRAIN_DELAY
    elif isinstance(error, TransientError) and error.retry_after is not None:
        delay = timedelta(seconds=error.retry_after)
    return ApplicationError(
        str(error), type=error.code, non_retryable=not error.retryable, next_retry_delay=delay
    )
