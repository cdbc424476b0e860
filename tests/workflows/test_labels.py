"""What people read in the Web UI is short, shows any file's name as it is, and never breaks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from activities.progress import Milestones
from stope.models.job import InputKind, JobInput, JobStatus, JobType
from stope.models.messages import StageDone
from stope.models.progress import StageProgress
from workflows.details import Heading, markdown
from workflows.labels import source_label, static_details, title
from workflows.rows import RUNNING, StageRow

SUMMARY_BYTES = 400
"""What Temporal's server accepts."""

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _label(path: str, kind: InputKind = InputKind.RECORDING) -> str:
    return source_label(JobInput(kind=kind, digest="ab" * 32, path=path))


def _progress(
    done: int, total: int | None, stage: str = "mining", reused: int = 0
) -> StageProgress:
    return StageProgress(
        job_type="mine", stage=stage, done=done, total=total, reused=reused, elapsed=30
    )


@pytest.mark.parametrize(
    "name",
    ["a" * 255, "é" * 120, "😀" * 60, "<[*`|\\" * 40, "\udcff\udcfe.opus", "a\nb\tc", "  ", "…"],
)
@pytest.mark.parametrize("job_type", JobType)
def test_a_summary_fits_and_can_be_sent_whatever_the_files_name(
    name: str, job_type: JobType
) -> None:
    summary = title(job_type, _label(f"/recordings/{name}"))
    assert len(summary.encode()) <= SUMMARY_BYTES
    assert "\n" not in summary


def test_a_label_is_the_files_name_or_the_stored_document() -> None:
    assert _label("/recordings/My_talk 1.opus") == "My_talk 1.opus"
    assert _label("file:///a/b", InputKind.TRANSCRIPT) == "transcript abababababab"


def test_a_files_name_is_no_markdown() -> None:
    label = _label("/recordings/x [y](http:evil) <b> |q| `c`.txt")
    wanted = r"x \[y\](http:evil) \<b\> \|q\| \`c\`.txt"
    assert wanted in title(JobType.MINE, label)
    assert wanted in static_details("mine-1", label)
    assert wanted in markdown(
        Heading(label, JobType.MINE, "mine-1", 1, RUNNING), [StageRow(JobType.MINE)], "d", NOON
    )


def test_details_have_a_row_for_each_stage() -> None:
    done = StageDone(
        status=JobStatus.SUCCEEDED_WITH_GAPS,
        output_id="x",
        result={"words": 1234},
        gaps=1,
        units=9,
        reused=4,
    )
    rows = [
        StageRow(
            JobType.TRANSCRIBE, "succeeded_with_gaps", "transcribe-1", "p/transcribe", done=done
        ),
        StageRow(
            JobType.MINE,
            RUNNING,
            "mine-1",
            "p/mine",
            attempt=2,
            progress=_progress(30, 40, reused=20),
        ),
        StageRow(JobType.FLAGSHIP),
    ]
    text = markdown(
        Heading("talk.opus", JobType.PIPELINE, "pipeline-1", 3, RUNNING), rows, "default", NOON
    ).replace("\u00a0", "")
    assert "**talk.opus**: pipeline, attempt 3, **running**" in text
    assert (
        "| [transcribe](/namespaces/default/workflows/p%2Ftranscribe) | succeeded with gaps "
        "| ▰▰▰▰▰▰100% | 9, 4 reused, 1 gap |  |  | 1,234 words |"
    ) in text
    assert (
        "| [mine](/namespaces/default/workflows/p%2Fmine) | mining, try 2 "
        "| ▰▰▰▰▱▱75% | 30 of 40, 20 reused | 20.0/min, 0:30 left |  |  |"
    ) in text
    assert "| flagship | not started |  |  |  |  |  |" in text
    assert "Jobs: `pipeline-1`, `transcribe-1`, `mine-1`" in text
    assert "2026-03-01 12:00:00 UTC" in text


def test_a_stage_is_at_100_percent_only_with_its_result() -> None:
    assert StageRow(JobType.MINE, RUNNING, progress=_progress(40, 40)).percent == 99
    assert StageRow(JobType.MINE, RUNNING, progress=_progress(0, 0)).percent == 0


def test_a_first_attempt_reports_every_stage_and_every_fifth_once() -> None:
    milestones = Milestones(attempt=1)
    told = [
        milestones.reached(_progress(0, None, "parsing")),
        milestones.reached(_progress(0, None, "parsing")),
        *(milestones.reached(_progress(done, 1000)) for done in range(1001)),
        milestones.reached(_progress(1000, 1000, "storing")),
    ]
    assert told[:2] == [True, False]
    assert told[-1]
    assert sum(told) == 1 + 6 + 1


def test_a_first_attempt_tells_the_first_gaps_at_once_and_then_every_doubling() -> None:
    milestones = Milestones(attempt=1)
    told = [
        gaps
        for gaps in range(1001)
        if milestones.reached(_progress(0, 100_000).model_copy(update={"gaps": gaps}))
    ]
    assert told == [0, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512]


def test_gaps_of_later_attempts_add_nothing_to_history() -> None:
    for attempt in range(2, 100):
        milestones = Milestones(attempt)
        milestones.reached(_progress(701, 1000, reused=700))
        assert not any(
            milestones.reached(_progress(701, 1000, reused=700).model_copy(update={"gaps": gaps}))
            for gaps in range(1, 50)
        )


def test_attempts_that_commit_nothing_add_nothing_to_history() -> None:
    for attempt in range(2, 1000):
        milestones = Milestones(attempt)
        assert not milestones.reached(_progress(0, None, "parsing"))
        assert not milestones.reached(_progress(700, 1000, reused=700))


def test_attempts_together_report_each_fifth_once() -> None:
    told = 0
    for attempt in range(1, 1001):  # Every attempt dies after one more unit.
        milestones = Milestones(attempt)
        before = attempt - 1
        told += milestones.reached(_progress(before, 1000, reused=before))
        told += milestones.reached(_progress(before + 1, 1000, reused=before))
    assert told == 6
