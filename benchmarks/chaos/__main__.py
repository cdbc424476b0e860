"""Disturb runs until enough faults have happened, and say what they cost.

Fails (exit code 1) when anything was lost, paid for without reason, doubled, or came out otherwise
than undisturbed, and says what, in which run, after which faults, and the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos.episode import Episode
from benchmarks.chaos.figures import by_kind, figures
from benchmarks.chaos.page import render_page
from benchmarks.chaos.sweep import Sweep, Sweeper

SEGMENTS = 220
LANES = 2


def main(words: Sequence[str] | None = None) -> int:
    """Make the sweep, print its table, and write the page."""
    asked = _parser().parse_args(words)
    command = f"python -m benchmarks.chaos --seed {asked.seed} --faults {asked.faults}"
    if asked.write is not None:
        command += f" --write {asked.write}"
    sweeper = Sweeper(asked.seed, asked.segments, keep=asked.keep)
    asyncio.run(_swept(sweeper, asked.faults, asked.lanes))
    sweep = sweeper.sweep
    _print(sweep)
    if asked.write is not None:
        asked.write.write_text(render_page(sweep, command), encoding="utf-8")
        print(f"written: {asked.write}", file=sys.stderr)
    missed = [figure.what for figure in figures(sweep) if not figure.met]
    for text in sweep.violations:
        print(f"seed {sweep.seed}: {text}", file=sys.stderr)
    for what in missed:
        print(f"seed {sweep.seed}: not reached: {what}", file=sys.stderr)
    return 1 if sweep.violations or missed else 0


async def _swept(sweeper: Sweeper, faults: int, lanes: int) -> None:
    async with sweeper.prepared():
        await sweeper.long(faults, lanes, lambda episode: _tell(sweeper.sweep, episode))


def _tell(sweep: Sweep, episode: Episode) -> None:
    print(
        f"{episode.name}: {episode.faults} faults in {episode.seconds:.0f} s, {episode.billed} "
        f"calls billed, {len(episode.again)} again; {sweep.faults} faults so far",
        flush=True,
    )
    for recovery in episode.recoveries:
        if recovery.story:
            print(f"  {recovery.seconds:.2f} s to recover from a SIGKILL {recovery.where}:")
            print("      " + "\n      ".join(recovery.story), flush=True)
    for text in episode.violations:
        last = sorted(episode.record.injected, key=lambda item: item.at)[-3:]
        faults = "; ".join(f"{item.fault.kind} {item.boundary}".strip() for item in last)
        print(f"  {text}\n  the last faults were: {faults}", flush=True)


def _print(sweep: Sweep) -> None:
    print()
    for name, count in by_kind(sweep).items():
        print(f"{count:5}  {name}")
    print()
    for figure in figures(sweep):
        mark = "reached" if figure.met else "NOT REACHED"
        print(f"{figure.what}\n    {figure.measured}; to reach: {figure.reach}: {mark}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1, help="which faults, where, in which order")
    parser.add_argument("--faults", type=int, default=1000, help="at least so many")
    parser.add_argument("--segments", type=int, default=SEGMENTS, help="of the episode")
    parser.add_argument("--lanes", type=int, default=LANES, help="runs side by side")
    parser.add_argument("--keep", action="store_true", help="leave the runs' folders and logs")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page, docs/durability.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
