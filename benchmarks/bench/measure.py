"""Measurements: raw figures in series, what is made of them, and what is to be reached."""

from __future__ import annotations

from statistics import median
from typing import Literal

from pydantic import Field

from stope.errors import StopeError
from stope.models.frozen import Frozen
from stope.models.job import JsonObject

Unit = Literal["s", "ms", "MB", "ratio", "points", "%", "tokens"]


class MeasurementError(StopeError):
    """A row could not be measured. ``str(error)`` says why."""


class Series(Frozen):
    """Every raw figure of one side, in the order in which they were taken."""

    name: str
    unit: Unit
    values: tuple[float, ...] = Field(min_length=1)

    @property
    def median(self) -> float:
        """The middle one; the mean of the middle two where their number is even."""
        return median(self.values)


class Figure(Frozen):
    """One published figure, from ``low`` to ``high``.

    ``limit`` is the greatest value that is good enough; None where nothing is promised.
    ``doubt`` says why the value cannot be believed: it is then neither good enough nor too much.
    """

    name: str
    unit: Unit
    value: float
    low: float
    high: float
    limit: float | None = None
    doubt: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is good enough; None where nothing is promised, or it is in doubt."""
        if self.limit is None or self.doubt is not None:
            return None
        return self.value <= self.limit


class Row(Frozen):
    """One row of the table. The first figures with a limit are what the table shows.

    ``failure`` says why there are no figures, ``day`` when they were measured.
    """

    key: str
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()
    failure: str | None = None
    day: str | None = None


def ratio(name: str, ours: Series, other: Series, limit: float | None = None) -> Figure:
    """The median of the ratios of neighbours: ours to the other side's of the same turn.

    Neighbours saw the same machine. A machine whose speed drifts spoils a ratio of medians sooner.

    Args:
        name: the figure's.
        ours: the dividends.
        other: the divisors, as many, all above zero.
        limit: see ``Figure``.
    """
    found = [one / two for one, two in zip(ours.values, other.values, strict=True)]
    return _figure(name, "ratio", found, limit)


def fastest(name: str, ours: Series, other: Series, limit: float | None = None) -> Figure:
    """Our fastest turn by the other side's fastest, between the least and the greatest of any two.

    What else a machine does only ever makes a turn slower. Where that is more than what is looked
    for, and comes and goes within a turn, the fastest turns say more than neighbours do.
    """
    return Figure(
        name=name,
        unit="ratio",
        value=min(ours.values) / min(other.values),
        low=min(ours.values) / max(other.values),
        high=max(ours.values) / min(other.values),
        limit=limit,
    )


def fastest_less(name: str, ours: Series, other: Series) -> Figure:
    """Our fastest turn less the other side's fastest; see ``fastest``."""
    return Figure(
        name=name,
        unit=ours.unit,
        value=min(ours.values) - min(other.values),
        low=min(ours.values) - max(other.values),
        high=max(ours.values) - min(other.values),
    )


def quotient(name: str, ours: Series, other: Series, limit: float | None = None) -> Figure:
    """Median by median, between the least and the greatest that any two figures give.

    For what does not hang on the machine's speed, and where the sides differ in number.
    """
    return Figure(
        name=name,
        unit="ratio",
        value=ours.median / other.median,
        low=min(ours.values) / max(other.values),
        high=max(ours.values) / min(other.values),
        limit=limit,
    )


def difference(name: str, ours: Series, other: Series, unit: Unit) -> Figure:
    """The median of the differences of neighbours."""
    found = [one - two for one, two in zip(ours.values, other.values, strict=True)]
    return _figure(name, unit, found, None)


def plain(name: str, series: Series, limit: float | None = None) -> Figure:
    """The median of a series as a figure of its own."""
    return _figure(name, series.unit, series.values, limit)


def recorded(metrics: JsonObject, name: str) -> float:
    """A number out of what a run recorded of itself.

    Raises:
        MeasurementError: it is not there.
    """
    value = metrics.get(name)
    if not isinstance(value, int | float):
        raise MeasurementError(f"The run did not record {name}; it recorded {sorted(metrics)}.")
    return float(value)


def _figure(
    name: str, unit: Unit, values: list[float] | tuple[float, ...], limit: float | None
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        value=median(values),
        low=min(values),
        high=max(values),
        limit=limit,
    )
