"""What a finished run left in its records, in a form that two runs can be compared by."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from sqlalchemy import Table, func, select

from benchmarks.chaos import boundaries as at
from benchmarks.chaos.journal import Journal, text_digest
from stope.compression import unpacked
from stope.models.job import JsonObject
from stope.records.database import Database
from stope.records.schema import claim, evidence, job, job_run, llm_answer, unit, verdict
from stope.records.units import SqlUnitStore


@dataclass(frozen=True)
class Truth:
    """Rows as digests and counts. ``result`` has the digests of the final documents."""

    result: dict[str, str]
    rows: dict[str, str]
    units: Counter[tuple[str, str]]
    """How many units have a stage and an output."""
    runs: dict[str, int]
    """Runs of each type of job."""


async def read_truth(database: Database, result: JsonObject) -> Truth:
    """Read what is there."""
    parts = cast("JsonObject", result["result"])
    digests = {name: str(value) for name, value in parts.items() if name.endswith("_digest")}
    rows = {table.name: await _digest(database, table) for table in (claim, evidence, verdict)}
    async with database.reading() as connection:
        stages = {
            row.key: row.stage for row in await connection.execute(select(unit.c.key, unit.c.stage))
        }
        runs = {
            row.type: row.runs
            for row in await connection.execute(
                select(job.c.type, func.count().label("runs"))
                .join(job_run, job_run.c.job_id == job.c.id)
                .group_by(job.c.type)
            )
        }
    outputs = await SqlUnitStore(database).read_outputs(list(stages))
    units = Counter((stages[key], text_digest(output)) for key, output in outputs.items())
    return Truth(digests | {"status": str(result["status"])}, rows, units, runs)


def differences(found: Truth, undisturbed: Truth) -> list[str]:
    """How a run differs from the one that nobody disturbed."""
    said: list[str] = []
    if found.result != undisturbed.result:
        said.append(f"the final output differs: {found.result} is not {undisturbed.result}")
    said += [
        f"the rows of {name} differ"
        for name, digest in found.rows.items()
        if digest != undisturbed.rows[name]
    ]
    for which, more in (
        ("too many", found.units - undisturbed.units),
        ("missing", undisturbed.units - found.units),
    ):
        if more:
            said.append(f"{more.total()} committed units are {which}")
    said += [f"the {name} job has {count} runs" for name, count in found.runs.items() if count != 1]
    return said


async def lost(database: Database, journal: Journal) -> list[str]:
    """Units and answers that a worker had committed, and that are not there, or not the same."""
    async with database.reading() as connection:
        keys = [row.key for row in await connection.execute(select(unit.c.key))]
        answers = {
            row.id: text_digest(unpacked(bytes(row.content), row.id).decode(errors="surrogatepass"))
            for row in await connection.execute(select(llm_answer.c.id, llm_answer.c.content))
        }
    outputs = await SqlUnitStore(database).read_outputs(keys)
    digests = {key: text_digest(output) for key, output in outputs.items()}
    said = [
        f"the unit {passage.about['key']} of {passage.about['stage']} was committed and is "
        f"{'gone' if passage.about['key'] not in digests else 'another one'}"
        for passage in journal.of(at.AFTER_UNIT)
        if digests.get(passage.about["key"]) != passage.about["output"]
    ]
    return said + [
        f"the answer {passage.about['id']} was committed and is gone or another one"
        for passage in journal.of(at.AFTER_LEDGER)
        if answers.get(passage.about["id"]) != passage.about["content"]
    ]


async def _digest(database: Database, table: Table) -> str:
    query = select(table).order_by(*table.primary_key.columns)
    async with database.reading() as connection:
        rows = [list(row) for row in await connection.execute(query)]
    # The order of a database's own collation is left out of it.
    lines = sorted(json.dumps(row, default=str) for row in rows)
    return sha256("\n".join(lines).encode()).hexdigest()
