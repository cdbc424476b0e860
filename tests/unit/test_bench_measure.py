"""Figures are made of neighbours, keep their spread, and say whether they are good enough."""

from __future__ import annotations

import pytest

from benchmarks.bench.measure import (
    MeasurementError,
    Series,
    difference,
    fastest,
    fastest_less,
    plain,
    quotient,
    ratio,
    recorded,
)


def seconds(*values: float) -> Series:
    return Series(name="side", unit="s", values=values)


def test_a_ratio_is_the_median_of_the_ratios_of_neighbours() -> None:
    # The machine was three times slower in the second turn: each pair still says 1.1 or 1.2.
    found = ratio("r", seconds(11, 36, 12), seconds(10, 30, 10), limit=1.15)
    assert (found.value, found.low, found.high) == pytest.approx((1.2, 1.1, 1.2))
    assert found.met is False


def test_a_figure_at_its_limit_is_good_enough() -> None:
    assert plain("p", seconds(0.3), limit=0.3).met is True


def test_without_a_limit_nothing_is_promised() -> None:
    assert difference("d", seconds(3, 5), seconds(1, 2), "s").met is None


def test_a_difference_is_between_neighbours() -> None:
    found = difference("d", seconds(3, 50), seconds(1, 49), "s")
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1, 2))


def test_a_quotient_shows_the_extremes_that_two_unequal_series_give() -> None:
    found = quotient("q", seconds(120), seconds(100, 110), limit=1.15)
    assert (found.value, found.low, found.high) == pytest.approx((120 / 105, 120 / 110, 1.2))


def test_the_fastest_turns_are_compared_and_the_extremes_shown() -> None:
    found = fastest("f", seconds(120, 105, 140), seconds(130, 100, 104), limit=1.05)
    assert (found.value, found.low, found.high) == pytest.approx((1.05, 105 / 130, 1.4))
    assert found.met is True
    less = fastest_less("l", seconds(120, 105, 140), seconds(130, 100, 104))
    assert (less.value, less.low, less.high) == (5, -25, 40)


def test_sides_of_unequal_number_have_no_neighbours() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio("r", seconds(1, 2), seconds(1))


def test_a_run_that_recorded_nothing_is_no_zero() -> None:
    assert recorded({"wall_seconds": 2}, "wall_seconds") == 2.0
    with pytest.raises(MeasurementError, match="engine_seconds"):
        recorded({"wall_seconds": 2}, "engine_seconds")
