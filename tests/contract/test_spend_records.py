"""Bookings: what a run paid for and what it was given, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update

from stope.llm.chat import ChatAnswer, ChatRequest, Message
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.ledger import Booking, SqlLedgerStore
from stope.records.schema import answer_use, job_run, llm_answer
from stope.records.spend import SpendRecords

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
CHEAP = Decimal("0.00000015")
"""US dollars a token: what no sum of floats adds up to exactly."""


def costing(price: Decimal | None) -> object:
    def cost(answer: ChatAnswer) -> Decimal | None:
        counts = (answer.prompt_tokens, answer.completion_tokens)
        return None if price is None or None in counts else price * sum(filter(None, counts))

    return cost


class Books:
    """A ledger with runs to book to, each a stage of a pipeline or alone."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = JobRecords(database)
        self.spend = SpendRecords(database)
        self.asked = 0

    async def run(
        self, run_id: str, job_id: str, workflow_id: str | None = None, under: str | None = None
    ) -> None:
        kind = JobType(job_id.split("-")[0])
        await self.jobs.create(
            Job(
                id=job_id,
                type=kind,
                input=JobInput(kind=InputKind.TEXT, digest="0" * 64, path="/talk.txt"),
                config=JobConfig(),
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        await self.jobs.begin_run(job_id, run_id, workflow_id or job_id, under)

    def store(self, run_id: str, stage: str, price: Decimal | None = CHEAP) -> SqlLedgerStore:
        booking = Booking(run_id, stage, costing(price))  # type: ignore[arg-type]  # a stand-in
        return SqlLedgerStore(self.database).on_account(booking)

    async def pay(
        self,
        run_id: str,
        stage: str = "mine",
        *,
        model: str = "openai:small",
        tokens: tuple[int | None, int | None] = (100, 10),
        price: Decimal | None = CHEAP,
    ) -> str:
        self.asked += 1
        request = ChatRequest(
            model=model,
            messages=(Message(role="user", content=f"question {self.asked}"),),
            schema_name="colour",
            answer_schema={},
            max_tokens=50,
        )
        answer = ChatAnswer(
            content="{}",
            finish_reason="stop",
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            latency=0,
        )
        store = self.store(run_id, stage, price)
        entry = await store.receive(f"key {self.asked}", request, answer, "job")
        await store.accept(entry.id)
        return entry.id


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


async def test_an_answer_is_booked_with_its_cost_and_found_again_with_it(books: Books) -> None:
    await books.run("run-1", "mine-1")
    await books.pay("run-1")
    found = await SqlLedgerStore(books.database).find("key 1", LONG_AGO)
    assert found is not None
    assert found.cost_usd == 110 * CHEAP
    [line] = await books.spend.lines()
    assert (line.job_id, line.stage, line.model, line.how) == (
        "mine-1",
        "mine",
        "openai:small",
        "paid",
    )
    assert (line.answers, line.prompt_tokens, line.completion_tokens) == (1, 100, 10)
    assert line.cost_usd == 110 * CHEAP


async def test_sums_of_many_small_costs_are_exact(books: Books) -> None:
    await books.run("run-1", "mine-1")
    tokens = [(number, 3 * number + 1) for number in range(40)]
    await asyncio.gather(*(books.pay("run-1", tokens=pair) for pair in tokens))
    paid = await books.spend.paid("run-1")
    assert paid.tokens == sum(map(sum, tokens))
    assert paid.usd == paid.tokens * CHEAP


async def test_an_answer_that_is_served_again_is_saved_and_never_paid_twice(books: Books) -> None:
    await books.run("run-1", "mine-1")
    await books.run("run-2", "mine-2")
    paid = await books.pay("run-1")
    later = books.store("run-2", "mine")
    await asyncio.gather(*(later.serve(paid, "reused") for _ in range(3)))
    # The run that paid reads its own answer again when it is resumed.
    await books.store("run-1", "mine").serve(paid, "reused")
    assert await books.spend.run_metrics("run-1") == {
        "llm_calls": 1,
        "llm_answers_reused": 0,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "tokens_saved": 0,
        "cost_usd": float(110 * CHEAP),
        "cost_saved_usd": 0.0,
        "llm_calls_unpriced": 0,
    }
    metrics = await books.spend.run_metrics("run-2")
    assert metrics["llm_calls"] == metrics["cost_usd"] == 0
    assert (metrics["llm_answers_reused"], metrics["tokens_saved"]) == (1, 110)
    assert metrics["cost_saved_usd"] == float(110 * CHEAP)
    assert await books.spend.run_metrics("run-3") == {}


async def test_the_bill_has_a_line_for_every_job_stage_model_and_way(books: Books) -> None:
    await books.run("run-p", "pipeline-1")
    await books.run("run-m", "mine-1", "pipeline-1/mine")
    await books.run("run-f", "flagship-1", "pipeline-1/flagship")
    await books.run("run-o", "mine-2")
    paid = await books.pay("run-m")
    await books.pay("run-m", model="openai:large", price=10 * CHEAP)
    await books.pay("run-f", "flagship")
    await books.pay("run-o", model="http://host#own", price=None)
    await books.pay("run-o", model="http://host#own", tokens=(None, None))
    await books.store("run-o", "mine").serve(paid, "other")
    lines = await books.spend.lines()
    assert [(line.job_id, line.stage, line.model, line.how) for line in lines] == [
        ("pipeline-1", "mine", "openai:large", "paid"),
        ("mine-2", "mine", "openai:small", "other"),
        ("pipeline-1", "flagship", "openai:small", "paid"),
        ("pipeline-1", "mine", "openai:small", "paid"),
        ("mine-2", "mine", "http://host#own", "paid"),
    ]
    own = lines[-1]
    assert (own.answers, own.unpriced, own.cost_usd) == (2, 2, Decimal(0))
    of_pipeline = await books.spend.lines(["pipeline-1"])
    assert {line.job_id for line in of_pipeline} == {"pipeline-1"}
    assert len(of_pipeline) == 3
    # A stage's own id finds what it did, in whatever pipeline.
    assert [line.stage for line in await books.spend.lines(["flagship-1"])] == ["flagship"]
    assert await books.spend.lines(["mine-3"]) == []


async def test_a_pipelines_budget_counts_all_its_stages_and_no_earlier_run(books: Books) -> None:
    await books.run("run-p1", "pipeline-1")
    await books.run("run-m1", "mine-1", "pipeline-1/mine", "run-p1")
    await books.pay("run-m1")
    await books.run("run-p2", "pipeline-1")
    await books.run("run-m2", "mine-1", "pipeline-1/mine", "run-p2")
    await books.pay("run-m2")
    await books.run("run-f2", "flagship-1", "pipeline-1/flagship", "run-p2")
    await books.pay("run-f2", "flagship", price=None)
    paid = await books.spend.paid("run-p2")
    assert (paid.tokens, paid.usd) == (220, 110 * CHEAP)
    assert (await books.spend.paid("run-m1")).tokens == 110
    assert (await books.spend.paid("run-x")).tokens == 0


async def test_a_run_in_the_queue_and_clocks_that_differ_hide_nothing_that_was_paid(
    books: Books,
) -> None:
    await books.run("run-p", "pipeline-1")
    await books.run("run-m", "mine-1", "pipeline-1/mine", "run-p")
    await books.pay("run-m")
    # The worker that opened the stage has a clock that is behind.
    await books.database.write(
        update(job_run).where(job_run.c.run_id == "run-m").values(created_at=LONG_AGO)
    )
    await books.jobs.create_run("pipeline-1", "pipeline-1")
    assert (await books.spend.paid("run-p")).tokens == 110
    assert [run.run_id for run in await books.jobs.runs_under("run-p")] == ["run-m"]


async def test_what_nobody_counted_is_known_and_what_was_free_of_it(books: Books) -> None:
    await books.run("run-1", "mine-1")
    await books.pay("run-1")
    await books.pay("run-1", price=None)
    await books.pay("run-1", tokens=(None, 10))
    await books.pay("run-1", tokens=(None, None))
    await books.database.write(
        update(llm_answer).where(llm_answer.c.request_key == "key 4").values(cost_usd=0.0)
    )
    paid = await books.spend.paid("run-1")
    assert (paid.uncounted, paid.uncosted) == (2, 1)


async def test_answers_without_a_run_are_not_on_the_bill_and_are_counted(books: Books) -> None:
    await books.run("run-1", "mine-1")
    await books.pay("run-1")
    plain = SqlLedgerStore(books.database)
    request = ChatRequest(
        model="openai:small",
        messages=(Message(role="user", content="before"),),
        schema_name="colour",
        answer_schema={},
        max_tokens=50,
    )
    answer = ChatAnswer(content="{}", finish_reason="stop", latency=0)
    entry = await plain.receive("key", request, answer, "mine-0")
    await plain.serve(entry.id, "reused")
    assert await books.spend.unbooked() == [("mine-0", "openai:small", 1)]
    async with books.database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(answer_use)) == 1
