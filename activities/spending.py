"""What a stage's calls cost, and how much they may: bookings and budgets for its ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from activities.services import Services
from stope.models.checkpoint import Checkpoint
from stope.models.job import JsonObject
from stope.money.guard import Budget, SpendGuard, cost_of
from stope.money.prices import Price, price_of, require_prices
from stope.records.ledger import Booking
from stope.records.spend import SpendRecords
from stope.stage import StageRun

CheckpointT = TypeVar("CheckpointT", bound=Checkpoint)


@dataclass(frozen=True)
class Spending:
    """On whose account a stage's answers are, and what keeps its calls within a budget, if any."""

    booking: Booking
    guard: SpendGuard | None


async def open_spending(services: Services, run: StageRun[CheckpointT], model: str) -> Spending:
    """How a stage's calls to one model are paid for.

    Raises:
        UsageError: there is a limit of money, and the model has no known price.
    """
    request = run.request
    budget = Budget.of(request.max_usd, request.max_tokens) if request else None
    if budget is not None and budget.usd is not None:
        await asyncio.to_thread(require_prices, [model], services.settings)
    price = await asyncio.to_thread(price_of, model, services.settings)
    booking = Booking(run.run.run_id, run.job.type.value, partial(cost_of, price=price))
    guard = None if budget is None else _guard(services, run, model, budget, price)
    return Spending(booking, guard)


async def spending_metrics(services: Services, run_id: str) -> JsonObject:
    """What a run's calls came to, over all its attempts."""
    return await SpendRecords(services.database).run_metrics(run_id)


def _guard(
    services: Services,
    run: StageRun[CheckpointT],
    model: str,
    budget: Budget,
    price: Price | None,
) -> SpendGuard:
    """The guard of a stage; all stages of one run of a pipeline share an account."""
    payer = run.run.pipeline_run_id or run.run.run_id
    return SpendGuard(
        services.accounts.of(payer),
        budget,
        price,
        partial(SpendRecords(services.database).paid, payer),
        model=model,
        job=(run.request.pipeline_id if run.request else None) or run.job.id,
        draining=run.draining,
    )
