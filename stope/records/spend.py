"""What answers cost, summed up by job, run, stage and model.

Money is summed in whole picodollars: a sum of floats would not be what was paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pydantic import Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Row,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from stope.models.frozen import Frozen
from stope.models.job import JsonObject
from stope.records.database import Database
from stope.records.schema import answer_use, job_run, llm_answer

PICO = 10**12
"""Picodollars in a dollar. A token of the cheapest models costs some ten thousand of them."""

PAID = "paid"
OTHER = "other"


class SpendLine(Frozen):
    """The answers that one job's runs of one stage used of one model, in one way.

    ``job_id`` is the job that was asked for: of a stage in a pipeline, the pipeline. ``how`` is
    paid, reused or other (another model's answer that was taken over). ``cost_usd`` is the sum over
    answers of known price, and ``unpriced`` counts the others.
    """

    job_id: str
    stage: str
    model: str
    how: str
    answers: int = Field(ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cost_usd: Decimal
    unpriced: int = Field(ge=0)

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.prompt_tokens + self.completion_tokens


class Paid(Frozen):
    """What was paid: US dollars where the price is known, and tokens where they were counted.

    ``uncounted`` are answers whose server did not say how many tokens they took; ``uncosted`` those
    of them that were not free, so that nobody knows what they cost either.
    """

    usd: Decimal = Decimal(0)
    tokens: int = 0
    uncounted: int = 0
    uncosted: int = 0


class SpendRecords:
    """Reads ``answer_use`` and what it points at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def paid(self, run_id: str) -> Paid:
        """What a run has paid for; a pipeline's run, by the runs of its stages."""
        stages = select(job_run.c.run_id).where(job_run.c.pipeline_run_id == run_id)
        mine = or_(answer_use.c.run_id == run_id, answer_use.c.run_id.in_(stages))
        uncosted = case((and_(_UNCOUNTED, llm_answer.c.cost_usd.is_(None)), 1), else_=0)
        query = _sums().add_columns(
            func.sum(case((_UNCOUNTED, 1), else_=0)).label("uncounted"),
            func.sum(uncosted).label("uncosted"),
        )
        [row] = await self._database.fetch(query.where(mine, answer_use.c.how == PAID))
        return Paid(
            usd=_dollars(row.picodollars),
            tokens=int(row.prompt_tokens or 0) + int(row.completion_tokens or 0),
            uncounted=int(row.uncounted or 0),
            uncosted=int(row.uncosted or 0),
        )

    async def run_metrics(self, run_id: str) -> JsonObject:
        """All that a run used, over all its attempts, as numbers for its record.

        Empty where nothing was booked to it: a run that asked nobody.
        """
        lines = await self._lines(answer_use.c.run_id == run_id)
        if not lines:
            return {}
        paid = [line for line in lines if line.how == PAID]
        saved = [line for line in lines if line.how != PAID]
        others = sum(line.answers for line in saved if line.how == OTHER)
        return ({"llm_answers_from_other_models": others} if others else {}) | {
            "llm_calls": sum(line.answers for line in paid),
            "llm_answers_reused": sum(line.answers for line in saved) - others,
            "prompt_tokens": sum(line.prompt_tokens for line in paid),
            "completion_tokens": sum(line.completion_tokens for line in paid),
            "tokens_saved": sum(line.tokens for line in saved),
            "cost_usd": float(sum((line.cost_usd for line in paid), Decimal(0))),
            "cost_saved_usd": float(sum((line.cost_usd for line in saved), Decimal(0))),
            "llm_calls_unpriced": sum(line.unpriced for line in paid),
        }

    async def lines(self, job_ids: Sequence[str] | None = None) -> list[SpendLine]:
        """The bill, by job, stage, model and how; the dearest first.

        Args:
            job_ids: whose runs; None for all. A pipeline's own id finds its stages' runs.
        """
        if job_ids is None:
            return await self._lines(None)
        wanted = or_(
            *(
                or_(
                    job_run.c.job_id == name,
                    job_run.c.workflow_id.startswith(f"{name}/", autoescape=True),
                )
                for name in job_ids
            )
        )
        return await self._lines(answer_use.c.run_id.in_(select(job_run.c.run_id).where(wanted)))

    async def unbooked(self) -> list[tuple[str, str, int]]:
        """Answers that no run is known for, from before answers were booked: job, model, count."""
        booked = select(answer_use.c.answer_id).where(answer_use.c.answer_id == llm_answer.c.id)
        query = (
            select(llm_answer.c.job_id, llm_answer.c.model, func.count().label("answers"))
            .where(~booked.exists())
            .group_by(llm_answer.c.job_id, llm_answer.c.model)
        )
        rows = await self._database.fetch(query)
        return [(str(row.job_id or ""), str(row.model), int(row.answers)) for row in rows]

    async def _lines(self, wanted: ColumnElement[bool] | None) -> list[SpendLine]:
        # A run may be deleted before its answers are.
        owner = func.coalesce(job_run.c.workflow_id, llm_answer.c.job_id).label("owner")
        groups = (owner, answer_use.c.stage, llm_answer.c.model, answer_use.c.how)
        query = _sums(*groups).outerjoin(job_run, job_run.c.run_id == answer_use.c.run_id)
        if wanted is not None:
            query = query.where(wanted)
        rows = await self._database.fetch(query.group_by(*groups))
        found = [_line_of(row) for row in rows]
        return sorted(found, key=lambda line: (-line.cost_usd, line.job_id, line.stage, line.how))


_UNCOUNTED = or_(llm_answer.c.prompt_tokens.is_(None), llm_answer.c.completion_tokens.is_(None))


def _sums(*groups: ColumnElement[Any]) -> Select[Any]:
    pico = cast(func.round(llm_answer.c.cost_usd * literal(float(PICO), Float)), BigInteger)
    return (
        select(
            *groups,
            func.count().label("answers"),
            func.sum(pico).label("picodollars"),
            func.sum(llm_answer.c.prompt_tokens).label("prompt_tokens"),
            func.sum(llm_answer.c.completion_tokens).label("completion_tokens"),
            func.sum(case((llm_answer.c.cost_usd.is_(None), 1), else_=0)).label("unpriced"),
        )
        .select_from(answer_use)
        .join(llm_answer, llm_answer.c.id == answer_use.c.answer_id)
    )


def _line_of(row: Row[Any]) -> SpendLine:
    return SpendLine(
        # A stage's workflow is named by its pipeline's.
        job_id=str(row.owner or "").partition("/")[0],
        stage=row.stage,
        model=row.model,
        how=row.how,
        answers=int(row.answers),
        prompt_tokens=int(row.prompt_tokens or 0),
        completion_tokens=int(row.completion_tokens or 0),
        cost_usd=_dollars(row.picodollars),
        unpriced=int(row.unpriced or 0),
    )


def _dollars(picodollars: int | Decimal | None) -> Decimal:
    return Decimal(int(picodollars or 0)) / PICO
