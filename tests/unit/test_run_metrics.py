"""A run's metrics are of all its attempts, each unit counted once."""

from __future__ import annotations

from stope.models.job import JsonObject
from stope.run_metrics import over_attempts

FIRST: JsonObject = {
    "units_done": 3,
    "units_reused": 2,
    "engine_seconds": 6.0,
    "wall_seconds": 4.0,
    "llm_concurrency_lowest": 2,
    "cost_usd": 0.5,
}
SECOND: JsonObject = {
    "units_done": 4,
    "units_reused": 5,
    "engine_seconds": 8.0,
    "wall_seconds": 5.0,
    "diarization_seconds": 1.0,
    "llm_modes": {"strict": 4},
}


def test_what_earlier_attempts_did_is_added_and_is_none_that_was_reused() -> None:
    first = over_attempts(None, FIRST)
    assert first == FIRST
    assert over_attempts(first, SECOND) == {
        "units_done": 7,
        "units_reused": 2,
        "engine_seconds": 14.0,
        "wall_seconds": 9.0,
        "diarization_seconds": 1.0,
        "llm_concurrency_lowest": 2,
        "llm_modes": {"strict": 4},
    }


def test_an_attempt_that_did_nothing_takes_nothing_away() -> None:
    nothing: JsonObject = {"units_done": 0, "units_reused": 0, "engine_seconds": 0.0}
    found = over_attempts(FIRST, nothing)
    assert (found["units_done"], found["units_reused"], found["engine_seconds"]) == (3, 2, 6.0)
