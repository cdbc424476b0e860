"""A stage's real activity books what it pays, and stops before it could pass its budget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.mine import MineActivities
from activities.services import Services, open_services
from benchmarks.chaos.scripted_llm import ScriptedLlm
from client import JobClient
from stope.errors import UsageError
from stope.models.messages import StageRequest
from stope.records.schema import unit
from stope.settings import Settings

TALK = "".join(
    f"Ann: Number {n} of the pumps moves heat from a cold place to a warm place in winter.\n"
    for n in range(60)
)
PRICE = 5e-6
"""US dollars for the ten tokens in and ten out that the scripted model says every answer took."""


@pytest.fixture
def llm() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as server:
        yield server


@pytest.fixture
async def services(tmp_path: Path, llm: ScriptedLlm) -> AsyncIterator[Services]:
    settings = Settings.model_validate(
        {"home": tmp_path / "home", "llm": llm.spec(), "llm_price": "0.2/0.3"}
    )
    opened = await open_services(settings)
    yield opened
    await opened.close()


async def open_job(services: Services, tmp_path: Path, run_id: str = "run-1") -> str:
    talk = tmp_path / "talk.txt"
    talk.write_text(TALK)
    async with JobClient(services.settings) as client:
        job_id = await client.create_job("mine", talk, {"segment_tokens": 100})
    await services.jobs.begin_run(job_id, run_id, job_id)
    return job_id


async def mine(services: Services, request: StageRequest) -> None:
    await ActivityEnvironment().run(MineActivities(services).mine_transcript, request)


async def test_a_run_books_every_answer_and_says_what_it_paid(
    services: Services, llm: ScriptedLlm, tmp_path: Path
) -> None:
    job_id = await open_job(services, tmp_path)
    await mine(services, StageRequest(job_id=job_id, run_id="run-1"))
    calls = llm.total("mine")
    metrics = (await services.jobs.get_run("run-1")).metrics or {}
    assert calls > 10
    assert metrics["llm_calls"] == calls
    assert metrics["cost_usd"] == pytest.approx(calls * PRICE, rel=1e-12)
    assert metrics["llm_calls_unpriced"] == 0
    async with JobClient(services.settings) as client:
        bill = await client.cost(job_id)
        [row] = bill.rows
        assert (row.job_id, row.stage, row.model) == (job_id, "mine", llm.spec())
        assert (row.answers, row.tokens, row.unpriced) == (calls, 20 * calls, 0)
        assert float(bill.cost_usd) == pytest.approx(calls * PRICE, rel=1e-12)
        assert (await client.cost()).rows == bill.rows


@pytest.mark.parametrize("limit", [{"max_tokens": 1500}, {"max_usd": 0.00034}])
async def test_a_stage_stops_before_its_budget_and_goes_on_with_a_higher_one(
    services: Services, llm: ScriptedLlm, tmp_path: Path, limit: dict[str, float]
) -> None:
    job_id = await open_job(services, tmp_path)
    request = StageRequest(job_id=job_id, run_id="run-1", max_workers=4)
    with pytest.raises(ApplicationError, match=f"stope resume {job_id} --max-") as caught:
        await mine(services, request.model_copy(update=limit))
    assert (caught.value.type, caught.value.non_retryable) == ("BudgetReached", True)
    before = llm.total("mine")
    assert before > 0
    stopped = (await services.jobs.get_run("run-1")).metrics or {}
    async with JobClient(services.settings) as client:
        first = await client.cost(job_id)
        assert first.tokens == 20 * before <= limit.get("max_tokens", first.tokens)
        assert float(first.cost_usd) <= limit.get("max_usd", 1)
    # The same attempt again, as after an unpause: what is paid for is not asked again.
    await mine(services, request.model_copy(update={"max_usd": 1.0, "max_tokens": 10**6}))
    assert max(llm.calls.values()) == 1
    metrics = (await services.jobs.get_run("run-1")).metrics or {}
    assert metrics["llm_calls"] == llm.total("mine") > before
    # Of both attempts, as the money is.
    assert metrics["units_reused"] == 0
    for name in ("units_done", "engine_seconds", "wall_seconds", "llm_seconds"):
        assert metrics[name] > stopped[name] >= 0
    assert metrics["cost_usd"] == pytest.approx(llm.total("mine") * PRICE, rel=1e-12)


async def test_a_later_run_is_told_what_it_saved(
    services: Services, llm: ScriptedLlm, tmp_path: Path
) -> None:
    job_id = await open_job(services, tmp_path)
    await mine(services, StageRequest(job_id=job_id, run_id="run-1"))
    calls = llm.total("mine")
    # Its units are gone, its answers are not.
    await services.database.write(delete(unit))
    await services.jobs.begin_run(job_id, "run-2", job_id)
    await mine(services, StageRequest(job_id=job_id, run_id="run-2", max_usd=0))
    assert llm.total("mine") == calls
    metrics = (await services.jobs.get_run("run-2")).metrics or {}
    assert (metrics["llm_calls"], metrics["cost_usd"]) == (0, 0)
    assert metrics["llm_answers_reused"] == calls
    assert metrics["cost_saved_usd"] == pytest.approx(calls * PRICE, rel=1e-12)


async def test_a_limit_of_money_needs_a_price(
    services: Services, llm: ScriptedLlm, tmp_path: Path
) -> None:
    job_id = await open_job(services, tmp_path)
    unpriced = services.settings.model_copy(update={"llm_price": None})
    async with JobClient(unpriced) as client:
        with pytest.raises(UsageError, match=r"price of .* is not known"):
            await client.start_job(job_id, max_usd=1)
    assert llm.total("mine") == 0
