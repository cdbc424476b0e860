"""The bill: what answers cost, by job, stage and model, and what the ledger saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from pydantic import Field, computed_field

from stope.models.frozen import Frozen
from stope.records.spend import OTHER, PAID, SpendLine


class BillRow(Frozen):
    """One model in one stage of one job.

    ``cost_usd`` is what was paid where the price is known, and ``unpriced`` counts the other
    answers. Of what was served from the ledger, ``saved_usd`` is what it had cost, and
    ``other_model`` counts what another model had answered.
    """

    job_id: str
    stage: str
    model: str
    answers: int = Field(ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cost_usd: Decimal
    unpriced: int = Field(ge=0)
    reused: int = Field(ge=0)
    reused_tokens: int = Field(ge=0)
    saved_usd: Decimal
    other_model: int = Field(ge=0)

    @property
    def tokens(self) -> int:
        """Paid for, in and out."""
        return self.prompt_tokens + self.completion_tokens


class Bill(Frozen):
    """Rows, the dearest job first. ``unbooked`` answers are from before answers were booked."""

    rows: tuple[BillRow, ...] = ()
    unbooked: int = Field(default=0, ge=0)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def cost_usd(self) -> Decimal:
        """Paid, where the price is known."""
        return sum((row.cost_usd for row in self.rows), Decimal(0))

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def saved_usd(self) -> Decimal:
        """Not paid again."""
        return sum((row.saved_usd for row in self.rows), Decimal(0))

    @property
    def answers(self) -> int:
        """Paid for."""
        return sum(row.answers for row in self.rows)

    @property
    def tokens(self) -> int:
        """Paid for, in and out."""
        return sum(row.tokens for row in self.rows)

    @property
    def reused(self) -> int:
        """Served from the ledger."""
        return sum(row.reused for row in self.rows)

    @property
    def reused_tokens(self) -> int:
        """Of what was served from the ledger."""
        return sum(row.reused_tokens for row in self.rows)

    @property
    def unknown_prices(self) -> dict[str, int]:
        """Answers of unknown price, by model."""
        found: defaultdict[str, int] = defaultdict(int)
        for row in self.rows:
            if row.unpriced:
                found[row.model] += row.unpriced
        return dict(found)


def bill_of(lines: Sequence[SpendLine], unbooked: int = 0) -> Bill:
    """The bill of some lines of the records."""
    groups: defaultdict[tuple[str, str, str], list[SpendLine]] = defaultdict(list)
    for line in lines:
        groups[line.job_id, line.stage, line.model].append(line)
    rows = [_row(*names, group) for names, group in groups.items()]
    of_job: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        of_job[row.job_id] += row.cost_usd
    rows.sort(key=lambda row: (-of_job[row.job_id], row.job_id, -row.cost_usd, row.stage))
    return Bill(rows=tuple(rows), unbooked=unbooked)


def _row(job_id: str, stage: str, model: str, lines: Sequence[SpendLine]) -> BillRow:
    paid = [line for line in lines if line.how == PAID]
    served = [line for line in lines if line.how != PAID]
    return BillRow(
        job_id=job_id,
        stage=stage,
        model=model,
        answers=sum(line.answers for line in paid),
        prompt_tokens=sum(line.prompt_tokens for line in paid),
        completion_tokens=sum(line.completion_tokens for line in paid),
        cost_usd=sum((line.cost_usd for line in paid), Decimal(0)),
        unpriced=sum(line.unpriced for line in paid),
        reused=sum(line.answers for line in served),
        reused_tokens=sum(line.tokens for line in served),
        saved_usd=sum((line.cost_usd for line in served), Decimal(0)),
        other_model=sum(line.answers for line in served if line.how == OTHER),
    )
