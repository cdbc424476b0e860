"""The pace of a provider: it falls fast, rises slowly, never stops, and has a ceiling."""

from __future__ import annotations

import random

import pytest

from stope.llm.pace import LONGEST_BACK_OFF, PATIENCE, Pace, Ticket


def refuse(pace: Pace, now: float, retry_after: float | None = 0.0) -> None:
    """A call that begins and is refused at once."""
    pace.refused(pace.begin(), retry_after, now)


def test_it_begins_at_the_ceiling_and_each_round_with_a_refusal_halves_it() -> None:
    pace, limits = Pace(8), []
    for now in range(4):
        refuse(pace, now)
        limits.append(pace.limit)
    assert limits == [4, 2, 1, 1]
    assert pace.lowest == 1


def test_refusals_of_calls_that_were_in_flight_together_halve_it_once() -> None:
    pace = Pace(8)
    tickets = [pace.begin() for _ in range(8)]
    for ticket in tickets:
        pace.refused(ticket, 0.0, 0.0)
    assert (pace.limit, pace.in_flight) == (4, 0)


def test_a_round_of_answers_allows_one_call_more_up_to_the_ceiling() -> None:
    pace = Pace(3)
    refuse(pace, 0)
    assert pace.limit == 1
    limits = []
    for _ in range(8):
        pace.begin()
        pace.answered()
        limits.append(pace.limit)
    assert limits == [2, 2, 3, 3, 3, 3, 3, 3]


def test_a_wait_that_is_told_pauses_every_call_until_then() -> None:
    pace = Pace(8)
    refuse(pace, 100.0, retry_after=12.0)
    assert pace.pause(100.0) == 12.0
    assert not pace.may_begin(111.9)
    assert pace.may_begin(112.0)


def test_a_shorter_wait_does_not_cut_a_longer_one() -> None:
    pace = Pace(8)
    for retry_after in (30.0, 1.0):
        refuse(pace, 0.0, retry_after)
    assert pace.pause(0.0) == 30.0


def test_without_a_wait_that_is_told_the_pauses_double_until_an_answer_comes() -> None:
    pace, now, waits = Pace(8), 0.0, []
    for _ in range(8):
        refuse(pace, now, None)
        waits.append(pace.pause(now))
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_BACK_OFF, LONGEST_BACK_OFF]
    pace.begin()
    pace.answered()
    refuse(pace, now, None)
    assert pace.pause(now) == 1


def test_only_refusals_for_ten_minutes_are_hopeless_and_an_answer_is_hope() -> None:
    pace, now = Pace(8), 0.0
    while now <= PATIENCE - LONGEST_BACK_OFF:
        assert not pace.hopeless(now)
        refuse(pace, now, LONGEST_BACK_OFF)
        now += LONGEST_BACK_OFF
    refuse(pace, now, LONGEST_BACK_OFF)
    assert pace.hopeless(now)
    pace.begin()
    pace.answered()
    assert not pace.hopeless(now)


def test_a_wait_beyond_all_patience_is_hopeless_at_once() -> None:
    pace = Pace(8)
    refuse(pace, 0.0, PATIENCE + 1)
    assert pace.hopeless(0.0)


def test_a_refusal_long_after_the_last_one_is_a_new_beginning() -> None:
    pace = Pace(8)
    refuse(pace, 0.0, 1.0)
    refuse(pace, 2 * PATIENCE, 1.0)
    assert not pace.hopeless(2 * PATIENCE)


def test_a_higher_ceiling_counts_from_now_on_and_a_lower_one_never() -> None:
    pace = Pace(2)
    pace.allow(6)
    assert (pace.limit, pace.lowest) == (6, 6)
    pace.allow(3)
    assert pace.ceiling == 6
    refuse(pace, 0.0)
    pace.allow(10)
    assert (pace.limit, pace.ceiling, pace.lowest) == (3, 10, 3)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_it_stays_within_its_bounds_and_never_stops(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  (a test that can be repeated, no secret)
    ceiling = dice.randint(1, 12)
    pace, now = Pace(ceiling), 0.0
    flights: list[Ticket] = []
    for _ in range(600):
        before = pace.limit
        step = dice.random()
        if step < 0.45:
            if pace.may_begin(now):
                flights.append(pace.begin())
        elif flights:
            ticket = flights.pop(dice.randrange(len(flights)))
            if step < 0.75:
                pace.answered()
                assert before <= pace.limit <= before + 1
            elif step < 0.8:
                pace.ended()
                assert pace.limit == before
            else:
                wait = dice.choice([None, 0.0, dice.uniform(0, 5)])
                pace.refused(ticket, wait, now)
                assert max(1, before // 2) <= pace.limit <= before
                assert pace.pause(now) >= (wait or 0.0) - 1e-6
        now += dice.choice([0.0, dice.uniform(0, 2)])
        assert 1 <= pace.lowest <= pace.limit <= ceiling
        assert pace.in_flight == len(flights) <= ceiling
    # Nothing but time and answers is needed to come back to the top.
    for ticket in flights:
        assert ticket
        pace.ended()
    now += LONGEST_BACK_OFF + 5
    for _ in range(ceiling * (ceiling + 1)):
        assert pace.may_begin(now)
        pace.begin()
        pace.answered()
    assert pace.limit == ceiling
