"""Time left is known from the own rate or from earlier runs, is never negative, and else unknown.

And the progress that carries it stays under 1 KB, whatever a unit or a provider is called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stope.models.gap import Gap
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    JsonObject,
)
from stope.models.progress import NOTE_BYTES, Spent, StageProgress, gap_notes, shortened
from stope.models.view import JobView, StageView, TimeLeft
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.rates import EarlierRates

ONE_KILOBYTE = 1024
HUGE = 10**9


def progress(**fields: object) -> StageProgress:
    return StageProgress.model_validate({"job_type": "mine", "stage": "mining", **fields})


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None),
        ({"total": 10}, None),
        ({"total": 10, "done": 4, "reused": 4, "elapsed": 3}, None),
        ({"total": 10, "done": 4, "reused": 4, "usual": 2}, 12),
        ({"total": 10, "done": 4, "elapsed": 8, "usual": 99}, 12),
        ({"total": 10, "done": 4, "reused": 2, "elapsed": 8}, 24),
        ({"total": 10, "done": 3, "gaps": 1, "elapsed": 8}, 12),
        ({"total": 10, "done": 12, "elapsed": 8}, 0),
        ({"total": 0, "usual": 2}, 0),
    ],
)
def test_seconds_left(fields: JsonObject, seconds: float | None) -> None:
    assert progress(**fields).seconds_left == seconds


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀", '"', "\\", "\n", "\x00", "\udcff", "﷽"])
def test_progress_stays_under_a_kilobyte(letter: str) -> None:
    gaps = [
        Gap(stage="mine", unit_id=letter * 300, reason=letter * 5000, start=1e5 / 3, end=1e5 / 3)
        for _ in range(2000)
    ]
    worst = StageProgress(
        job_type="transcribe",
        stage="transcribing",
        done=HUGE,
        total=HUGE,
        reused=HUGE,
        gaps=HUGE,
        named=gap_notes(gaps),
        cursor="seg_12345678.names.and.something.longer",
        note=letter * 5000,
        elapsed=1234567.123,
        usual=12345.123,
        audio=1234567.123,
        spent=Spent(
            prompt_tokens=HUGE * 10,
            completion_tokens=HUGE,
            cost_usd=123456.123456,
            unpriced=HUGE,
        ),
    )
    assert len(worst.model_dump_json().encode()) < ONE_KILOBYTE


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert shortened("loading tiny.en", NOTE_BYTES) == "loading tiny.en"
    assert shortened("a" * 500, 10) == "aaaaaaa…"


def stage(kind: JobType, state: str = "running", **fields: object) -> StageView:
    known = progress(**fields) if fields else None
    return StageView(stage=kind, state=state, progress=known)


RUNS = stage(JobType.MINE, total=10, done=4, elapsed=8)
AHEAD = stage(JobType.FLAGSHIP, "not_started")


@pytest.mark.parametrize(
    ("stages", "left"),
    [
        ((RUNS,), TimeLeft(seconds=12)),
        ((RUNS, AHEAD), TimeLeft(seconds=12, at_least=True)),
        ((stage(JobType.TRANSCRIBE, "completed"), RUNS), TimeLeft(seconds=12)),
        # It had its result before the pipeline began, and so never ran in it.
        ((stage(JobType.TRANSCRIBE, "not_started"), RUNS), TimeLeft(seconds=12)),
        ((stage(JobType.MINE, total=10), AHEAD), None),
        ((), None),
    ],
)
def test_a_jobs_time_left_is_the_sum_of_what_is_known(
    stages: tuple[StageView, ...], left: TimeLeft | None
) -> None:
    view = JobView(
        job_id="pipeline-1", type=JobType.PIPELINE, status=JobStatus.RUNNING, stages=stages
    )
    assert view.time_left == left
    assert view.model_copy(update={"lost": True}).time_left is None
    assert view.model_copy(update={"status": JobStatus.FAILED}).time_left is None


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'records.db'}")
    await found.migrate()
    yield found
    await found.close()


class Earlier:
    """Jobs with one finished run each."""

    def __init__(self, database: Database) -> None:
        self._jobs = JobRecords(database)
        self._count = 0

    async def run(
        self,
        kind: JobType,
        metrics: JsonObject,
        status: JobStatus = JobStatus.SUCCEEDED,
        duration: float | None = None,
        **config: object,
    ) -> Job:
        self._count += 1
        job = await self._jobs.create(
            Job(
                id=f"{kind.value}-{self._count}",
                type=kind,
                input=JobInput(kind=InputKind.RECORDING, digest="0" * 64, path="talk.opus"),
                config=JobConfig.model_validate(config),
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        run = await self._jobs.begin_run(job.id, f"run-{self._count}", job.id)
        result: JsonObject | None = None
        if status.has_result:
            result = {"status": status.value, "result": {"duration": duration}}
        await self._jobs.finish_run(run.run_id, status, result=result, metrics=metrics)
        return job


async def test_earlier_runs_of_the_same_model_give_their_median(database: Database) -> None:
    earlier = Earlier(database)
    for wall in (10, 30, 1000):
        await earlier.run(
            JobType.MINE, {"units_done": 10, "wall_seconds": wall}, miner_model="p:small"
        )
    await earlier.run(JobType.MINE, {"units_done": 1, "wall_seconds": 9}, miner_model="p:large")
    job = await earlier.run(
        JobType.MINE,
        {"units_done": 1, "wall_seconds": 500},
        JobStatus.FAILED,
        miner_model="p:small",
    )
    assert await EarlierRates(database).usual(job) == {"mining": 3}
    other = job.model_copy(update={"config": JobConfig(miner_model="p:new")})
    assert await EarlierRates(database).usual(other) == {}


async def test_recordings_are_rated_by_the_second_and_reused_chunks_do_not_count(
    database: Database,
) -> None:
    metrics: JsonObject = {
        "units_done": 3,
        "units_reused": 1,
        "wall_seconds": 90,
        "diarization_seconds": 30,
    }
    job = await Earlier(database).run(JobType.TRANSCRIBE, metrics, duration=400)
    rates = await EarlierRates(database).usual(job)
    assert rates == {"transcribing": pytest.approx(0.2), "diarizing": pytest.approx(0.1)}


async def test_runs_that_did_nothing_themselves_say_nothing(database: Database) -> None:
    earlier = Earlier(database)
    job = await earlier.run(JobType.MINE, {"units_done": 0, "units_reused": 9, "wall_seconds": 1})
    await earlier.run(JobType.MINE, {})
    assert await EarlierRates(database).usual(job) == {}
