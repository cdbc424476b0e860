"""The plan: what a run would take, before it takes it. Every uncertain figure is a range."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pydantic import Field, computed_field

from stope.models.frozen import Frozen


class Span(Frozen):
    """From a low guess to a high one; both the same where it is known."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)

    def __add__(self, other: Span) -> Span:
        return Span(low=self.low + other.low, high=self.high + other.high)

    def times(self, low: float, high: float) -> Span:
        """Each end by its own factor."""
        return Span(low=self.low * low, high=self.high * high)


NONE = Span(low=0, high=0)


def exactly(value: float) -> Span:
    """A figure that is known."""
    return Span(low=value, high=value)


class Money(Frozen):
    """US dollars, from a low guess to a high one."""

    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)

    def __add__(self, other: Money) -> Money:
        return Money(low=self.low + other.low, high=self.high + other.high)


class StagePlan(Frozen):
    """One stage of one input.

    ``done`` says that it has its result: it costs nothing. ``paid_calls`` are calls whose answers
    the ledger has. ``cost_usd`` is None where the model's price is unknown, ``seconds`` where no
    earlier run here tells how fast it goes.
    """

    stage: str
    model: str
    done: bool = False
    units: Span = NONE
    calls: Span = NONE
    paid_calls: Span = NONE
    prompt_tokens: Span = NONE
    completion_tokens: Span = NONE
    cost_usd: Money | None = Money()
    seconds: Span | None = NONE


class InputPlan(Frozen):
    """One recording or text.

    ``audio`` is its length in seconds, None for a text or where the file does not say;
    ``job_id`` is the job that `stope run` would work on, ``status`` where that stands.
    """

    path: str
    kind: str
    job_id: str
    status: str | None = None
    audio: float | None = None
    chunks: Span = NONE
    words: Span = NONE
    segments: Span = NONE
    stages: tuple[StagePlan, ...] = ()


class Skipped(Frozen):
    """A file that no run can work on, and why."""

    path: str
    reason: str


class RunPlan(Frozen):
    """All inputs together."""

    inputs: tuple[InputPlan, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def audio(self) -> float:
        """Seconds of all recordings whose length is known."""
        return sum(item.audio or 0 for item in self.inputs)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def calls(self) -> Span:
        """To be paid for."""
        return _sum(stage.calls for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def paid_calls(self) -> Span:
        """Answered by the ledger."""
        return _sum(stage.paid_calls for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def tokens(self) -> Span:
        """In and out, of the calls to be paid for."""
        return _sum(stage.prompt_tokens + stage.completion_tokens for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def cost_usd(self) -> Money | None:
        """Of all stages; None where the price of one that costs anything is unknown."""
        total = Money()
        for stage in self.stages:
            if stage.cost_usd is None:
                return None
            total += stage.cost_usd
        return total

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way of saying it
    @property
    def seconds(self) -> Span | None:
        """One input after the other; None where one stage's speed is unknown."""
        total = NONE
        for stage in self.stages:
            if stage.seconds is None:
                return None
            total += stage.seconds
        return total

    @property
    def stages(self) -> list[StagePlan]:
        """Those of all inputs."""
        return [stage for item in self.inputs for stage in item.stages]

    @property
    def unknown_prices(self) -> list[str]:
        """Models that nobody knows a price of."""
        return sorted({stage.model for stage in self.stages if stage.cost_usd is None})

    @property
    def unknown_speeds(self) -> list[str]:
        """Stages with their models that no earlier run here has done."""
        return sorted(
            {f"{stage.stage} ({stage.model})" for stage in self.stages if stage.seconds is None}
        )


def _sum(spans: Iterable[Span]) -> Span:
    total = NONE
    for span in spans:
        total += span
    return total
