"""A comparison that cannot be true, or that others disturbed, is no result."""

from __future__ import annotations

import pytest

from benchmarks.bench.load import Load
from benchmarks.bench.pipeline import doubt_of


def test_the_pipeline_cannot_be_much_faster_than_a_part_of_itself() -> None:
    doubt = doubt_of(0.42, [0.0, 0.0])
    assert doubt is not None
    assert "0.42" in doubt


def test_one_disturbed_side_of_one_turn_is_enough() -> None:
    doubt = doubt_of(1.02, [0.01, 0.4, 0.0])
    assert doubt is not None
    assert "40 %" in doubt


@pytest.mark.parametrize("least", [0.98, 1.0, 1.5])
def test_on_a_quiet_machine_a_possible_ratio_stands_whether_good_or_bad(least: float) -> None:
    assert doubt_of(least, [0.0, 0.05]) is None


def test_the_share_of_others_is_a_share() -> None:
    load = Load()
    assert sum(number * number for number in range(300_000)) > 0
    assert 0.0 <= load.of_others() <= 1.0
