"""A worker that kills itself once a given output is committed, and notes every commit before.

``DIE_AFTER`` is ``step NAME``, after what a step gave, or ``STAGE N``, after the N-th unit that
this process does of a stage; nothing dies without it. ``JOURNAL`` is the file of notes.
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
_done: Counter[str] = Counter()


async def _commit_and_die(
    self: SqlUnitStore, key: str, stage: str, output: str, seconds: float
) -> bool:
    is_new = await _commit(self, key, stage, output, seconds)
    _done[stage] += 1
    name = f"step {json.loads(output)['step']}" if stage == RECORD_STAGE else stage
    _note(f"{name}\t{key}\n")
    if os.environ.get("DIE_AFTER") in (name, f"{stage} {_done[stage]}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return is_new


def _note(line: str) -> None:
    with Path(os.environ["JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(line)


if __name__ == "__main__":
    SqlUnitStore.commit = _commit_and_die  # type: ignore[method-assign]  # what is tested for
    sys.exit(main())
