"""Errors wait longer the more attempts in a row gave nothing, and what is over is forgotten."""

from __future__ import annotations

from contextlib import suppress

import pytest

import activities.backoff
from activities.backoff import backing_off
from stope.errors import InputError, RecordsBusyError, StopeError
from stope.identity import digest_of
from stope.models.checkpoint import MineCheckpoint
from stope.models.job import JobType
from stope.stage import StageRun
from tests.builders import stage_run_of
from tests.memory import MemoryMirror


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    runs: dict[str, int] = {}
    monkeypatch.setattr(activities.backoff, "_fruitless", runs)
    monkeypatch.setattr(activities.backoff, "MOST_RUNS", 3)
    return runs


def run_named(name: str) -> StageRun[MineCheckpoint]:
    run = stage_run_of(JobType.MINE, digest_of([name]), MineCheckpoint(), MemoryMirror())
    run.run = run.run.model_copy(update={"run_id": name})
    return run


def attempt(name: str, error: StopeError | None) -> float | None:
    """One attempt at a run; how long the next one is to wait."""
    with suppress(StopeError), backing_off(run_named(name)):
        if error is not None:
            raise error
    return getattr(error, "retry_after", None)


def test_the_wait_doubles_until_an_attempt_ends_otherwise(known: dict[str, int]) -> None:
    assert [attempt("a", RecordsBusyError("busy")) for _ in range(3)] == [1, 2, 4]
    attempt("a", None)
    assert attempt("a", RecordsBusyError("busy")) == 1
    attempt("a", InputError("gone"))
    assert known == {}
    assert attempt("a", RecordsBusyError("busy")) == 1


def test_runs_that_went_on_elsewhere_are_forgotten(known: dict[str, int]) -> None:
    for number in range(9):
        attempt(f"run-{number}", RecordsBusyError("busy"))
    assert list(known) == ["run-6", "run-7", "run-8"]
