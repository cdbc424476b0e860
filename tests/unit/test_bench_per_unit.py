"""What a unit costs is what a side took longer than the calls alone of its own turn; ours is held
against the cheapest other."""

from __future__ import annotations

import pytest

from benchmarks.bench import per_unit
from benchmarks.bench.measure import MeasurementError, Row
from benchmarks.bench.page import row_lines
from benchmarks.bench.units.work import SideDone, SideWork, check_count

BARE, OURS, ACTIVITIES, STEPS = per_unit._SIDES
WALLS = {BARE: (1.0, 2.0), OURS: (1.2, 2.2), ACTIVITIES: (9.0, 10.0), STEPS: (1.4, 2.3)}


def row_of(*, after_output: float = 0.001) -> Row:
    found = per_unit._Measured(segments=100)
    for slots in (1, 16):
        for side, walls in WALLS.items():
            for seconds in walls:
                noted = (after_output,) * 3 if side is OURS and slots == 1 else ()
                found.take(
                    side,
                    slots,
                    SideDone(seconds=seconds, after_output=noted, after_call=noted),
                )
    return per_unit._row(found)


def test_a_side_is_compared_with_the_calls_alone_of_its_own_turn() -> None:
    by_name = {series.name: series for series in row_of().series}
    assert [round(value, 6) for value in by_name["our unit loop, one at a time"].values] == [2, 2]
    steps = by_name["one DBOS step each, 16 at once"]
    assert [round(value, 6) for value in steps.values] == [4, 3]
    assert by_name["the calls alone, 16 at once: all"].values == (1.0, 2.0)


def test_ours_is_held_against_the_cheapest_other() -> None:
    lead = row_of().figures[1]
    assert lead.name == "our loop less the cheapest other (one DBOS step each, one at a time)"
    assert (round(lead.value, 6), lead.met) == (-1.5, True)
    dearer = row_of().model_copy(update={"figures": (lead.model_copy(update={"value": 0.1}),)})
    assert any("to reach ≤ 0 ms: MISSED" in line for line in row_lines(dearer))


def test_commit_heartbeat_and_mirror_have_a_limit() -> None:
    assert (row_of().figures[0].value, row_of().figures[0].met) == (1.0, True)
    assert row_of(after_output=0.002).figures[0].met is False


def test_a_side_that_did_not_store_everything_has_no_time() -> None:
    work = SideWork(name="a", segments=3, slots=1)
    check_count(3, work)
    with pytest.raises(MeasurementError, match="2 outputs of 3"):
        check_count(2, work)
