"""What compression saves, and what it costs: ``python -m benchmarks.stored HOME…``.

Reads the records and artifacts of homes, changes nothing, and prints the table of
``docs/records.md``. Commits are timed in a database of its own in a temporary folder.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import create_engine, text

import stope.compression
from stope.compression import packed, unpacked
from stope.identity import digest_of
from stope.records.database import Database
from stope.records.units import SqlUnitStore

_COLUMNS = {
    "units": ("unit", "output"),
    "plans": ("plan", "body"),
    "ledger: requests": ("llm_answer", "request_json"),
    "ledger: answers": ("llm_answer", "content"),
}
_THRESHOLDS = (0, 256, 512, 1024, 2048)
_REPEATS = 400


@dataclass(frozen=True)
class Kind:
    """Values of one kind, plain."""

    name: str
    values: list[bytes]


def read_home(home: Path) -> list[Kind]:
    """Everything of a home that may be compressed."""
    engine = create_engine(f"sqlite:///file:{home / 'records.db'}?mode=ro&uri=true")
    kinds: list[Kind] = []
    with engine.connect() as connection:
        for name, (table, column) in _COLUMNS.items():
            rows = connection.execute(text(f"SELECT {column} FROM {table}"))  # noqa: S608  (names of ours)
            kinds.append(Kind(name, [unpacked(bytes(row[0]), name) for row in rows]))
    engine.dispose()
    files = [path for path in (home / "artifacts").rglob("*") if path.is_file()]
    kinds.append(Kind("artifacts", [unpacked(path.read_bytes(), path.name) for path in files]))
    return kinds


def together(homes: Iterable[Path]) -> list[Kind]:
    """The kinds of several homes as one."""
    found: dict[str, list[bytes]] = {}
    for home in homes:
        for kind in read_home(home):
            found.setdefault(kind.name, []).extend(kind.values)
    return [Kind(name, values) for name, values in found.items() if values]


async def commit_milliseconds(values: list[bytes], thresholds: Sequence[int]) -> list[float]:
    """The median time of a commit of a unit, for every threshold of compression.

    They take turns, so that what else the machine does meets them all alike.
    """
    times: dict[int, list[float]] = {threshold: [] for threshold in thresholds}
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/records.db")
        await database.migrate()
        store = SqlUnitStore(database)
        for number in range(_REPEATS):
            body = values[number % len(values)].decode()
            for threshold, taken in times.items():
                with patch.object(stope.compression, "THRESHOLD", threshold):
                    began = time.perf_counter()
                    await store.commit(digest_of([number, threshold]), "mine", body, 0.0)
                    taken.append(time.perf_counter() - began)
        await database.close()
    return [1000 * statistics.median(taken) for taken in times.values()]


def main() -> None:
    """Print the tables."""
    kinds = together(map(Path, sys.argv[1:]))
    print("| what | values | median bytes | plain | stored | saved |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in kinds:
        plain, stored = sum(map(len, kind.values)), sum(len(packed(v)) for v in kind.values)
        middle = int(statistics.median(map(len, kind.values)))
        print(
            f"| {kind.name} | {len(kind.values)} | {middle:,} | {plain:,} | {stored:,} "
            f"| {1 - stored / plain:.0%} |"
        )
    units = next(kind.values for kind in kinds if kind.name == "units")
    everything = [value for kind in kinds for value in kind.values]
    never = 1 << 40
    thresholds = (*_THRESHOLDS, never)
    print("\n| compressed from | stored bytes | commit of a unit, median |")
    print("|---|---:|---:|")
    for threshold, took in zip(
        thresholds, asyncio.run(commit_milliseconds(units, thresholds)), strict=True
    ):
        with patch.object(stope.compression, "THRESHOLD", threshold):
            stored = sum(len(packed(value)) for value in everything)
        name = "never" if threshold == never else f"{threshold} bytes"
        print(f"| {name} | {stored:,} | {took:.2f} ms |")


if __name__ == "__main__":
    main()
