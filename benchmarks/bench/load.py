"""How much of the machine others took while a side was timed."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

from benchmarks.bench.whole_file import cores

MOST = 0.1
"""A side that lost more of the machine than this to others was disturbed."""


class Load:
    """Looks at the processor's time when it is made, and again when it is asked."""

    def __init__(self) -> None:
        self._at, self._all, self._ours = time.monotonic(), _busy(), _ours()

    def of_others(self) -> float:
        """The share of all cores' time since then that no process of ours had, from 0 to 1.

        Ours are this process and those it started; none of them may have ended meanwhile.
        """
        passed = (time.monotonic() - self._at) * cores()
        others = (_busy() - self._all) - (_ours() - self._ours)
        return min(1.0, max(0.0, others / passed)) if passed else 0.0


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - _guests(times))


def _guests(times: object) -> float:
    # Linux counts them in user and nice time already.
    return float(getattr(times, "guest", 0.0)) + float(getattr(times, "guest_nice", 0.0))


def _ours() -> float:
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
