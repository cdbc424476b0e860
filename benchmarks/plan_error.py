"""How far `stope plan` was off: its figures beside those of a finished run.

::

    stope run examples/interview.opus
    python -m benchmarks.plan_error examples/interview.opus

The plan is made anew in an empty home, as it was before the run; the run's figures are those of its
bill in ``STOPE_HOME``, answers that it was served from the ledger among them.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from client import JobClient
from stope.errors import StopeError, UsageError
from stope.models.frozen import Frozen
from stope.money.plan import RunPlan, Span
from stope.settings import Settings, load_settings

EXAMPLE = Path("examples/interview.opus")


class Row(Frozen):
    """One figure as it was planned and as it came."""

    name: str
    planned: Span
    actual: float

    @property
    def middle(self) -> float:
        """The geometric middle: as many times the low end as the high end is of it."""
        return math.sqrt(self.planned.low * self.planned.high)

    @property
    def error(self) -> float | None:
        """How far the middle is off, as a share of what came; None where nothing did."""
        return (self.middle - self.actual) / self.actual if self.actual else None

    @property
    def within(self) -> bool:
        """Whether what came lies in the range, of whole figures."""
        return round(self.planned.low) <= self.actual <= round(self.planned.high)


async def plan_rows(path: Path, config: Mapping[str, object], settings: Settings) -> list[Row]:
    """The figures of a finished run of a file, beside its plan.

    Raises:
        UsageError: the file was not run to its end with this config, or without a bill.
    """
    async with JobClient(settings) as client:
        job = await client.job(await client.create_job("pipeline", path, config))
        bill = await client.cost(job.id)
    if not job.status.has_result or not bill.rows:
        raise UsageError(
            f"There is no finished run of {path} with these models whose bill could be compared; "
            f"do it first: stope run {path}"
        )
    with tempfile.TemporaryDirectory(prefix="stope-plan-") as home:
        empty = settings.model_copy(
            update={"home": Path(home), "database_url": None, "artifacts_url": None}
        )
        async with JobClient(empty) as client:
            plan = await client.plan([path], config)
    return [
        Row(name="calls", planned=plan.calls, actual=bill.answers + bill.reused),
        Row(name="tokens", planned=plan.tokens, actual=bill.tokens + bill.reused_tokens),
        *(
            Row(
                name=f"calls of {stage}",
                planned=_calls(plan, stage),
                actual=sum(row.answers + row.reused for row in bill.rows if row.stage == stage),
            )
            for stage in ("mine", "flagship")
        ),
    ]


def page(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| figure | planned | came | in the range | middle off by |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        off = "-" if row.error is None else f"{row.error:+.0%}"
        lines.append(
            f"| {row.name} | {row.planned.low:,.0f} to {row.planned.high:,.0f} | {row.actual:,.0f} "
            f"| {'yes' if row.within else 'no'} | {off} |"
        )
    return "\n".join(lines)


def _calls(plan: RunPlan, stage: str) -> Span:
    return next(item.calls for item in plan.stages if item.stage == stage)


def main() -> int:
    """Print the table; 1 where there is nothing to compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_error")
    parser.add_argument("path", nargs="?", type=Path, default=EXAMPLE)
    parser.add_argument("--llm", help="as for stope run")
    parser.add_argument("--asr", help="as for stope run")
    given = parser.parse_args()
    config = {"miner_model": given.llm, "flagship_model": given.llm, "asr_model": given.asr}
    try:
        print(page(asyncio.run(plan_rows(given.path, config, load_settings()))))
    except StopeError as error:
        print(f"plan_error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
