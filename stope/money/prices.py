"""Prices of language models, from the tables that ``genai-prices`` carries. Nothing is looked up.

An embedded model and one on Ollama cost nothing. A model that nobody knows a price of has none:
that is ``None``, never 0. ``STOPE_LLM_PRICE`` gives a price to such a model, and to no other.

Source of the tables: https://github.com/pydantic/genai-prices (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol

from stope.errors import UsageError
from stope.llm.spec import ModelSpec, parse_model
from stope.models.job import InputKind, Job, JobType
from stope.settings import Settings
from stope.speech.spec import remote_model

FREE = ("embedded", "ollama")
"""Providers whose models run on machines of the user's own."""

_MILLION = 1_000_000


class Price(Protocol):
    """What calls to one model cost."""

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """US dollars for one call; tokens are at least 0."""


@dataclass(frozen=True)
class FlatPrice:
    """US dollars for a million tokens, in and out."""

    prompt: Decimal
    completion: Decimal

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """See ``Price``."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / _MILLION


NOTHING = FlatPrice(Decimal(0), Decimal(0))


@dataclass(frozen=True)
class ListedPrice:
    """The price that the tables have for a model of a provider, or of the server at a URL."""

    model: str
    provider: str | None = None
    url: str | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """See ``Price``.

        Raises:
            LookupError: the tables do not have the model.
        """
        # Imported here: the tables take a tenth of a second, and most commands need no price.
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens)
        found = (
            calc_price(usage, self.model, provider_id=self.provider)
            if self.url is None
            else calc_price(usage, self.model, provider_api_url=self.url)
        )
        return found.total_price


def price_of(name: str, settings: Settings) -> Price | None:
    """The price of a model, by the name a user gives it; None where it is unknown.

    Raises:
        UsageError: the name, or the price in the settings, cannot be read.
    """
    spec = parse_model(name)
    if spec.provider in FREE:
        return NOTHING
    listed = _listed(spec, settings)
    try:
        listed.cost(1, 1)
    except LookupError:
        return own_price(settings)
    return listed


def own_price(settings: Settings) -> Price | None:
    """The price that the settings give to models that the tables do not have.

    Raises:
        UsageError: it cannot be read.
    """
    if settings.llm_price is None:
        return None
    parts = settings.llm_price.split("/")
    try:
        prompt, completion = (Decimal(part.strip()) for part in parts)
        if not (prompt.is_finite() and completion.is_finite() and min(prompt, completion) >= 0):
            raise ValueError("not a price")
    except (ValueError, InvalidOperation) as error:
        raise UsageError(
            f"STOPE_LLM_PRICE is {settings.llm_price!r}; write US dollars for a million tokens in "
            "and out, such as 0.15/0.60."
        ) from error
    return FlatPrice(prompt, completion)


def require_prices(names: Sequence[str], settings: Settings) -> None:
    """Refuse a limit of money that nobody could hold.

    Raises:
        UsageError: a model has no known price.
    """
    for name in dict.fromkeys(names):
        if price_of(name, settings) is None:
            raise UsageError(
                f"The price of {name} is not known, so --max-usd cannot hold; limit it by "
                "--max-tokens, or say what it costs: STOPE_LLM_PRICE=IN/OUT in US dollars for a "
                "million tokens."
            )


def require_limitable(job: Job, settings: Settings) -> None:
    """Refuse a limit of money for a job that would spend what nobody counts.

    Raises:
        UsageError: a model of the job has no known price, or a server is asked to listen.
    """
    listens = job.type in (JobType.TRANSCRIBE, JobType.PIPELINE)
    if listens and job.input.kind is InputKind.RECORDING and remote_model(job.config.asr_model):
        raise UsageError(
            f"What {job.config.asr_model} asks for listening is not known here, so --max-usd "
            "cannot hold; choose a speech model that runs here (--asr tiny.en), or transcribe "
            "without a limit (stope transcribe) and set one for what follows."
        )
    require_prices(models_of(job), settings)


def models_of(job: Job) -> list[str]:
    """The language models that a job may ask."""
    config = job.config
    return {
        JobType.MINE: [config.miner_model],
        JobType.FLAGSHIP: [config.flagship_model],
        JobType.PIPELINE: [config.miner_model, config.flagship_model],
    }.get(job.type, [])


def _listed(spec: ModelSpec, settings: Settings) -> ListedPrice:
    url = spec.base_url
    if spec.provider == "openai":
        # Another server under OpenAI's name has prices of its own.
        url = settings.openai_base_url
    if url is not None:
        return ListedPrice(spec.model, url=url)
    return ListedPrice(spec.model, provider=spec.provider)
