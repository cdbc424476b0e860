"""Measure what Stope costs: python -m benchmarks.bench --help."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench.bench import Bench
from benchmarks.bench.child import ROOT
from benchmarks.bench.measure import MeasurementError, Row
from benchmarks.bench.page import render_page, row_lines
from benchmarks.bench.rows import KINDS, Kind, kinds
from cli.console import FAILED, INTERRUPTED, exit_code, settings_with_logging, status
from stope.errors import StopeError

FOLDER = ROOT / ".stope" / "bench"
"""Beside the homes that people use, so that the disk is the same; each row removes its own."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure rows one after another and print them; 1 when one could not be measured.

    A target that was missed is marked as missed, and is no failure of the command.
    """
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.quick and asked.write is not None:
        parser.error("--quick shortens everything; what it measures is not for publishing")
    if asked.add and asked.json is None:
        parser.error("--add keeps the rows of the file that --json names")
    try:
        bench = Bench(settings_with_logging(), FOLDER, quick=asked.quick)
        with _own_temporal():
            kept = _rows_of(asked.json) if asked.add else []
            rows = asyncio.run(_measured(bench, kinds(asked.only), asked.json, kept))
    except StopeError as error:
        status(f"bench: {error}")
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    if asked.write is not None:
        asked.write.parent.mkdir(parents=True, exist_ok=True)
        asked.write.write_text(render_page(rows), encoding="utf-8")
        status(f"written: {asked.write}")
    return FAILED if any(row.failure for row in rows) else 0


async def _measured(
    bench: Bench, wanted: Sequence[Kind], file: Path | None, kept: Sequence[Row]
) -> list[Row]:
    if bench.quick:
        status("quick: everything is shortened; these figures only show that it works")
    today = datetime.now(UTC).date().isoformat()
    rows = list(kept)
    for kind in wanted:
        try:
            found = await kind.measure(bench)
        except StopeError as error:
            found = Row(key=kind.key, failure=str(error))
        rows = [row for row in rows if row.key != kind.key]
        rows.append(found.model_copy(update={"day": today}))
        print("\n".join(row_lines(rows[-1])), flush=True)
        if file is not None:
            # After every row: the next one may be interrupted.
            await asyncio.to_thread(file.write_text, _as_json(rows), encoding="utf-8")
    return rows


@contextmanager
def _own_temporal() -> Iterator[None]:
    """Every row has a server of its own: the SDK must not be sent to another one meanwhile."""
    found = {name: value for name, value in os.environ.items() if name.startswith("TEMPORAL_")}
    for name in found:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(found)


def _rows_of(file: Path) -> list[Row]:
    """What a file of ``--json`` holds; nothing where there is none yet.

    Raises:
        MeasurementError: it is something else.
    """
    if not file.exists():
        return []
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        for row in body:
            for figure in row["figures"]:
                del figure["met"]
        return [Row.model_validate(row) for row in body]
    except (ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"{file} is not what --json writes: {error}.") from error


def _as_json(rows: Sequence[Row]) -> str:
    body = [
        {
            **row.model_dump(mode="json"),
            "figures": [
                {**figure.model_dump(mode="json"), "met": figure.met} for figure in row.figures
            ],
        }
        for row in rows
    ]
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    keys = [kind.key for kind in KINDS]
    parser.add_argument(
        "--only", nargs="+", choices=keys, metavar="ROW", help=f"some of {', '.join(keys)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few minutes, to see whether it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured, as JSON")
    parser.add_argument(
        "--add", action="store_true", help="keep the rows that FILE has and that are not asked for"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page, docs/performance.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
