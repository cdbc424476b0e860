"""A stage's reports carry its spend, its gaps and the usual pace of what it is doing just now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

from stope.models.checkpoint import TranscribeCheckpoint
from stope.models.gap import Gap
from stope.models.job import InputKind, Job, JobConfig, JobInput, JobRun, JobStatus, JobType
from stope.models.progress import NOTE_BYTES, Spent, StageProgress
from stope.records.jobs import CheckpointMirror
from stope.stage import StageRun
from stope.units import Tally

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class NoMirror:
    """Keeps what was mirrored last."""

    def __init__(self) -> None:
        self.seconds_left: float | None = None

    async def write(self, checkpoint: TranscribeCheckpoint) -> None:
        self.seconds_left = checkpoint.stope.seconds_left


@dataclass
class Spend:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0


def stage_run(
    beats: list[StageProgress], mirror: NoMirror, **usual: float
) -> StageRun[TranscribeCheckpoint]:
    job = Job(
        id="transcribe-1",
        type=JobType.TRANSCRIBE,
        input=JobInput(kind=InputKind.RECORDING, digest="0" * 64, path="talk.opus"),
        config=JobConfig(),
        status=JobStatus.RUNNING,
        created_at=NOW,
    )
    run = JobRun(
        run_id="run-1",
        job_id=job.id,
        attempt=1,
        workflow_id=job.id,
        status=JobStatus.RUNNING,
        created_at=NOW,
    )
    return StageRun(
        job=job,
        run=run,
        checkpoint=TranscribeCheckpoint(file_path="talk.opus"),
        stage="validating",
        mirror=cast("CheckpointMirror", mirror),
        beat=beats.append,
        draining=asyncio.Event(),
        max_workers=None,
        usual=usual,
    )


async def test_the_usual_pace_is_of_the_part_that_runs_and_of_this_recordings_length() -> None:
    beats: list[StageProgress] = []
    mirror = NoMirror()
    run = stage_run(beats, mirror, transcribing=0.5, diarizing=0.1)
    run.duration = 100
    await run.enter("transcribing")
    await run.advance(Tally(total=20))
    assert beats[-1].usual == 2.5
    assert beats[-1].seconds_left == 50
    await run.mirror()
    assert mirror.seconds_left == 50
    await run.enter("diarizing")
    await run.advance(Tally(total=4))
    assert beats[-1].seconds_left == 10
    await run.enter("storing")
    await run.advance(Tally(total=4))
    assert beats[-1].seconds_left is None


async def test_without_a_length_the_pace_is_by_the_unit() -> None:
    beats: list[StageProgress] = []
    run = stage_run(beats, NoMirror(), mining=3)
    await run.enter("mining")
    await run.advance(Tally(total=4, committed=["seg_0001"], reused=1))
    assert beats[-1].seconds_left == 9


async def test_reports_name_gaps_and_add_up_what_is_spent() -> None:
    beats: list[StageProgress] = []
    run = stage_run(beats, NoMirror())
    await run.enter("mining")
    assert beats[-1].spent is None
    spend = Spend()
    run.count(spend)
    run.count(Spend(prompt_tokens=1, cost_usd=Decimal("0.5"), unpriced=2))
    spend.prompt_tokens, spend.completion_tokens, spend.cost_usd = 10, 5, Decimal("0.25")
    gaps = [Gap(stage="mine", unit_id=f"seg_{n}", reason="why") for n in range(9)]
    await run.advance(Tally(total=20, gaps=gaps))
    assert beats[-1].gaps == 9
    assert [gap.unit_id for gap in beats[-1].named] == ["seg_0", "seg_1", "seg_2"]
    assert beats[-1].spent == Spent(
        prompt_tokens=11, completion_tokens=5, cost_usd=0.75, unpriced=2
    )


async def test_a_note_of_any_length_can_be_sent_and_read_again() -> None:
    beats: list[StageProgress] = []
    run = stage_run(beats, NoMirror())
    run.note("starting " + "日本" * 500)
    assert StageProgress.model_validate_json(beats[-1].model_dump_json()) == beats[-1]
    assert len((beats[-1].note or "").encode()) <= NOTE_BYTES
