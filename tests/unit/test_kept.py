"""Which jobs stay: among them those that an open pipeline may be answered from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stope.models.job import JobStatus
from stope.models.keeping import KeepPolicy
from stope.records.kept import JobRow, RunRow, kept_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)
NOTHING = KeepPolicy(keep_days=30, keep_runs=0)


def job(name: str, status: JobStatus, takes: str, gives: str = "") -> JobRow:
    return JobRow(
        id=name,
        status=status,
        parent_id=None,
        takes=frozenset({takes}),
        gives=frozenset({gives} if gives else ()),
        outputs=frozenset(),
        created_at=LONG_AGO,
    )


def run_of(row: JobRow) -> RunRow:
    return RunRow(
        id=f"run of {row.id}",
        job_id=row.id,
        attempt=1,
        status=row.status,
        ended_at=LONG_AGO,
        names=frozenset(),
        outputs=frozenset(),
    )


def kept(*jobs: JobRow) -> set[str]:
    return set(kept_of(jobs, map(run_of, jobs), NOTHING, NOW).jobs)


def test_what_an_open_pipeline_may_take_over_stays_from_its_input_on() -> None:
    done = JobStatus.SUCCEEDED
    stages = (
        job("transcribe-1", done, "recording", "transcript"),
        job("mine-1", done, "transcript", "claims"),
    )
    other = job("transcribe-2", done, "another recording")
    failed = job("pipeline-1", JobStatus.FAILED, "recording")
    assert kept(*stages, other, failed) == {"transcribe-1", "mine-1", "pipeline-1"}
    assert kept(*stages, other, job("pipeline-1", done, "recording")) == set()


def test_what_an_open_job_works_on_stays_and_what_others_made_of_it_does_not() -> None:
    done = JobStatus.SUCCEEDED
    giver = job("transcribe-1", done, "recording", "transcript")
    sibling = job("mine-2", done, "transcript")
    assert kept(giver, sibling, job("mine-1", JobStatus.PAUSED, "transcript")) == {
        "transcribe-1",
        "mine-1",
    }
