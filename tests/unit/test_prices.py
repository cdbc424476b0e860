"""Prices: from the tables, nothing for local models, and None where nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from stope.errors import UsageError
from stope.llm.chat import ChatAnswer
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobStatus, JobType
from stope.models.money import dollars
from stope.money.guard import cost_of
from stope.money.prices import price_of, require_limitable, require_prices
from stope.settings import Settings

UNKNOWN = "http://127.0.0.1:9/v1#nobody-knows-it"


def answer(prompt: int | None, completion: int | None) -> ChatAnswer:
    return ChatAnswer(
        content="",
        finish_reason="stop",
        prompt_tokens=prompt,
        completion_tokens=completion,
        latency=0,
    )


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


def test_a_known_model_costs_what_the_tables_say_to_the_last_digit() -> None:
    price = price_of("openai:gpt-4o-mini", settings())
    listed = calc_price(
        Usage(input_tokens=12_345, output_tokens=678), "gpt-4o-mini", provider_id="openai"
    )
    assert price is not None
    assert price.cost(12_345, 678) == listed.total_price > 0


def test_a_model_named_by_its_url_has_its_providers_price() -> None:
    price = price_of("https://api.openai.com/v1#gpt-4o-mini", settings())
    same = price_of("openai:gpt-4o-mini", settings())
    assert price is not None
    assert same is not None
    assert price.cost(1000, 100) == same.cost(1000, 100)


def test_another_server_under_openais_name_does_not_have_openais_price() -> None:
    elsewhere = settings(OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert price_of("openai:gpt-4o-mini", elsewhere) is None


@pytest.mark.parametrize("name", ["embedded:qwen2.5-coder-1.5b-instruct", "ollama:qwen2.5:7b"])
def test_a_local_model_costs_nothing_also_where_tokens_are_not_counted(name: str) -> None:
    assert cost_of(answer(None, None), price_of(name, settings())) == 0


@pytest.mark.parametrize("name", [UNKNOWN, "openai:there-is-no-such-model"])
def test_a_model_that_nobody_knows_a_price_of_has_none(name: str) -> None:
    assert price_of(name, settings()) is None
    assert cost_of(answer(10, 10), None) is None
    with pytest.raises(UsageError, match=r"price of .* is not known"):
        require_prices(["openai:gpt-4o-mini", name], settings())


def test_the_settings_price_what_the_tables_do_not_have_and_nothing_else() -> None:
    own = settings(llm_price="1.5/6")
    price, listed = price_of(UNKNOWN, own), price_of("openai:gpt-4o-mini", own)
    assert price is not None
    assert price.cost(1_000_000, 500_000) == Decimal("4.5")
    assert listed == price_of("openai:gpt-4o-mini", settings())
    require_prices([UNKNOWN], own)


@pytest.mark.parametrize("kind", [JobType.TRANSCRIBE, JobType.PIPELINE])
def test_a_limit_of_money_is_refused_where_a_server_listens(kind: JobType) -> None:
    def job(asr: str, source: InputKind = InputKind.RECORDING) -> Job:
        return Job(
            id="job",
            type=kind,
            input=JobInput(kind=source, digest="0" * 64, path="talk.wav"),
            config=JobConfig(asr_model=asr, miner_model="ollama:x", flagship_model="ollama:x"),
            status=JobStatus.QUEUED,
            created_at=datetime(2030, 1, 1, tzinfo=UTC),
        )

    with pytest.raises(UsageError, match="What openai:whisper-1 asks for listening"):
        require_limitable(job("openai:whisper-1"), settings())
    require_limitable(job("tiny.en"), settings())
    require_limitable(job("openai:whisper-1", InputKind.TEXT), settings())


@pytest.mark.parametrize("text", ["free", "1", "1/2/3", "-1/2", "nan/1", "1/", "inf/1"])
def test_a_price_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="STOPE_LLM_PRICE"):
        price_of(UNKNOWN, settings(llm_price=text))


@pytest.mark.parametrize(("prompt", "completion"), [(None, 5), (5, None), (-1, 5)])
def test_tokens_that_are_not_counted_have_no_cost(
    prompt: int | None, completion: int | None
) -> None:
    price = price_of("openai:gpt-4o-mini", settings())
    assert cost_of(answer(prompt, completion), price) is None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("12.346", "$12.35"),
        ("1234.5", "$1,234.50"),
        ("0.0426", "$0.043"),
        ("0.1", "$0.10"),
        ("0.00042", "$0.00042"),
        ("0.0000004", "$0.00000040"),
    ],
)
def test_amounts_are_shown_with_the_digits_that_matter(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown
