"""A worker that kills itself at the commit of a given output, and notes every commit before.

``DIE`` is ``after WHAT`` or ``before WHAT``: when the output is committed, or when what it names is
stored and the commit has not begun. ``WHAT`` is ``step NAME``, for what a step gave, or
``STAGE N``, for the N-th unit that this process commits of a stage; nothing dies without it.
``JOURNAL`` is the file of notes; what was not committed for a death is in ``JOURNAL.lost``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from stope.records.units import SqlUnitStore
from stope.steps.opening import RECORD_STAGE
from worker import main

_commit = SqlUnitStore.commit
_begun: Counter[str] = Counter()
_done: Counter[str] = Counter()


async def _commit_and_die(
    self: SqlUnitStore, key: str, stage: str, output: str, seconds: float
) -> bool:
    name = f"step {json.loads(output)['step']}" if stage == RECORD_STAGE else stage
    _begun[stage] += 1
    if _is_due("before", name, f"{stage} {_begun[stage]}"):
        _note(".lost", f"{key}\t{output}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    is_new = await _commit(self, key, stage, output, seconds)
    _done[stage] += 1
    _note("", f"{name}\t{key}\n")
    if _is_due("after", name, f"{stage} {_done[stage]}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return is_new


def _is_due(when: str, *names: str) -> bool:
    return os.environ.get("DIE") in {f"{when} {name}" for name in names}


def _note(suffix: str, line: str) -> None:
    with Path(os.environ["JOURNAL"] + suffix).open("a", encoding="utf-8") as journal:
        journal.write(line)


if __name__ == "__main__":
    SqlUnitStore.commit = _commit_and_die  # type: ignore[method-assign]  # what is tested for
    sys.exit(main())
