"""A short sweep: every kind of fault once, in real processes.

Proves: nothing committed is lost or paid for again, nothing is doubled, no mirror runs ahead, every
output equals that of a run nobody disturbed. The long form is ``make chaos``; how soon a killed
worker's work moves on is measured there, on an idle machine.
"""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.chaos.billing import Cause
from benchmarks.chaos.faults import Kind
from benchmarks.chaos.figures import by_kind, figures, paid_again
from benchmarks.chaos.sweep import Sweep, Sweeper
from benchmarks.chaos.trouble import Trouble

SEED = 1
SEGMENTS = 80

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    sweeper = Sweeper(SEED, SEGMENTS)

    async def run() -> None:
        async with sweeper.prepared():
            await sweeper.short()

    asyncio.run(run())
    return sweeper.sweep


def test_nothing_is_lost_doubled_or_paid_for_without_reason(sweep: Sweep) -> None:
    assert sweep.violations == []
    assert [figure for figure in figures(sweep) if not (figure.met or figure.timed)] == []


def test_every_kind_of_fault_happened(sweep: Sweep) -> None:
    happened = " ".join(by_kind(sweep))
    assert [kind for kind in (*Kind, *Trouble) if kind not in happened] == []
    assert all(not episode.record.missed for episode in sweep.episodes)


def test_kills_cost_answers_so_that_the_counting_is_seen_to_count(sweep: Sweep) -> None:
    """One worker was killed between an answer and the ledger: that answer is paid for again."""
    assert paid_again(sweep, Cause.DEATH) >= 1
