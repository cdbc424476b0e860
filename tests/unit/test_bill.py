"""The bill: sums that are right, unknown prices said so, 80 columns; and how far plans were off."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.plan_error import Row, page, plan_rows
from cli.cost import bill_lines
from stope.errors import UsageError
from stope.money.bill import Bill, bill_of
from stope.money.plan import Span
from stope.records.spend import SpendLine
from stope.settings import Settings


def line(how: str = "paid", **fields: object) -> SpendLine:
    return SpendLine.model_validate(
        {
            "job_id": "mine-1",
            "stage": "mine",
            "model": "openai:small",
            "how": how,
            "answers": 2,
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "cost_usd": Decimal("0.1"),
            "unpriced": 0,
        }
        | fields
    )


def test_what_is_paid_and_what_is_saved_stand_in_one_row() -> None:
    bill = bill_of([line(), line("reused", answers=5), line("other", answers=1)])
    [row] = bill.rows
    assert (row.answers, row.reused, row.other_model) == (2, 6, 1)
    assert (row.tokens, row.reused_tokens) == (110, 220)
    assert (bill.cost_usd, bill.saved_usd) == (Decimal("0.1"), Decimal("0.2"))
    text = "\n".join(bill_lines(bill))
    assert "paid $0.10 for 2 answers (110 tokens)" in text
    assert "saved $0.20 by 6 answers from the ledger (220 tokens)" in text
    assert "1 of the reused answers are another model's" in text


def test_an_unknown_price_is_said_and_is_never_nothing() -> None:
    bill = bill_of([line(), line(model="http://host#own", cost_usd=Decimal(0), unpriced=2)])
    assert bill.unknown_prices == {"http://host#own": 2}
    [own] = [text for text in bill_lines(bill) if "http://host#own" in text and "mine" in text]
    assert "unknown" in own
    assert "$0.00" not in own.split("unknown")[0]
    assert "price unknown: 2 answers of http://host#own, not in the sum" in bill_lines(bill)


def test_the_dearest_job_comes_first_and_its_rows_stay_together() -> None:
    bill = bill_of(
        [
            line(job_id="b", cost_usd=Decimal("0.5")),
            line(job_id="a", stage="flagship", cost_usd=Decimal("0.2")),
            line(job_id="a", cost_usd=Decimal("0.4")),
        ]
    )
    assert [(row.job_id, row.stage) for row in bill.rows] == [
        ("a", "mine"),
        ("a", "flagship"),
        ("b", "mine"),
    ]


def test_rows_are_eighty_columns_at_most() -> None:
    huge = line(
        job_id="pipeline-0123456789abcdef",
        stage="flagship",
        model="https://a-long-name-of-a-host.example.org/v1#and-a-model-with-a-long-name",
        answers=54_321,
        prompt_tokens=98_765_432,
        cost_usd=Decimal("1234.5"),
    )
    saved = huge.model_copy(update={"how": "reused", "cost_usd": Decimal("9999.99")})
    lines = bill_lines(bill_of([huge, saved], unbooked=3))
    assert max(map(len, lines[:3])) <= 80
    assert "with-a-long-name" in lines[2]
    assert lines[-1].startswith("3 older answers")


def test_a_bill_of_nothing_says_so() -> None:
    assert bill_lines(Bill()) == ["no language model was asked"]


def test_how_far_a_plan_was_off_is_told_by_its_middle() -> None:
    row = Row(name="calls", planned=Span(low=4, high=16), actual=10)
    assert (row.middle, row.within, row.error) == (8, True, pytest.approx(-0.2))
    assert not Row(name="calls", planned=Span(low=4, high=9), actual=10).within
    assert "| calls | 4 to 16 | 10 | yes | -20% |" in page([row])
    assert Row(name="calls", planned=Span(low=0, high=0), actual=0).error is None


async def test_a_plan_is_compared_only_with_a_finished_run(tmp_path: Path) -> None:
    talk = tmp_path / "talk.txt"
    talk.write_text("Ann: Heat pumps move heat from a cold place to a warm place.\n")
    settings = Settings.model_validate({"home": tmp_path / "home"})
    with pytest.raises(UsageError, match="stope run"):
        await plan_rows(talk, {}, settings)
