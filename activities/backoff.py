"""How long a stage waits after an error that may pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from stope.errors import TransientError, WorkerDrainingError
from stope.models.job import JobRun
from stope.models.progress import StageProgress

FIRST_SECONDS = 1.0
MOST_SECONDS = 30.0

MOST_RUNS = 1000

_fruitless: dict[str, int] = {}
"""Attempts at a run that committed nothing, in a row, in this process: of the runs that had one
last. Others may have gone on elsewhere."""


class Attempt(Protocol):
    """An attempt at a stage or a step of a run."""

    run: JobRun

    @property
    def progress(self) -> StageProgress:
        """Where it stands."""


@contextmanager
def backing_off(run: Attempt) -> Iterator[None]:
    """An error that may pass leaves with the seconds to wait, unless it says so itself.

    They double with each attempt in a row that committed nothing. Temporal's own back-off would
    count vanished workers too, and the work of the seventh would lie about for half a minute.
    """
    name = run.run.run_id
    try:
        yield
    except TransientError as error:
        before = _fruitless.pop(name, 0)
        if run.progress.done > run.progress.reused:
            before = 0
        if error.retry_after is None and not isinstance(error, WorkerDrainingError):
            error.retry_after = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(8, before))
        _fruitless[name] = before + 1
        while len(_fruitless) > MOST_RUNS:
            del _fruitless[next(iter(_fruitless))]
        raise
    except BaseException:
        _fruitless.pop(name, None)
        raise
    _fruitless.pop(name, None)
