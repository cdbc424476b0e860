"""A workflow's page says the time left, the spend and the gaps, and is honest where one is unknown.

And a page that goes on after a pause or a crash forgets nothing of what was spent.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stope.models.gap import Gap
from stope.models.job import JobStatus, JobType
from stope.models.messages import ProgressReport, StageDone
from stope.models.progress import Spent, StageProgress, gap_notes
from workflows.attributes import COST, GAPS, PROGRESS, STAGE, changes, start_attributes
from workflows.details import Heading, bar, markdown
from workflows.rows import RUNNING, StageRow

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def page(*rows: StageRow, state: str = RUNNING, message: str | None = None) -> str:
    heading = Heading("talk.opus", JobType.PIPELINE, "pipeline-1", 1, state, message)
    return markdown(heading, rows, "default", NOON).replace("\u00a0", "")


def running(stage: JobType = JobType.MINE, **fields: object) -> StageRow:
    progress = StageProgress.model_validate(
        {"job_type": stage.value, "stage": "mining", "done": 5, "total": 10, **fields}
    )
    return StageRow(stage, RUNNING, attempt=1, progress=progress)


@pytest.mark.parametrize(
    ("percent", "text"),
    [(0, "▱▱▱▱▱▱▱▱▱▱ 0 %"), (99, "▰▰▰▰▰▰▰▰▰▱ 99 %"), (100, "▰▰▰▰▰▰▰▰▰▰ 100 %")],
)
def test_a_bar_is_full_only_at_the_end(percent: int, text: str) -> None:
    assert bar(percent) == text


def test_time_left_comes_from_the_own_rate_else_from_earlier_runs_else_is_unknown() -> None:
    assert "| 5.0/min, 1:00 left |" in page(running(elapsed=60, usual=1))
    assert "| about 0:10 left, going by earlier runs |" in page(running(reused=5, usual=2))
    assert "| time left unknown until the first unit |" in page(running(reused=5))


def test_the_whole_is_at_least_what_is_known() -> None:
    ahead = StageRow(JobType.FLAGSHIP)
    assert "at least 1:00 left" in page(running(elapsed=60), ahead)
    assert "time left not known yet" in page(running(reused=5), ahead)
    done = StageDone(status=JobStatus.SUCCEEDED, output_id="x", result={})
    finished = StageRow(JobType.TRANSCRIBE, "succeeded", done=done)
    whole = page(finished, running(elapsed=60))
    assert "1:00 left" in whole
    assert "at least" not in whole


@pytest.mark.parametrize(
    ("spent", "text"),
    [
        (Spent(prompt_tokens=900, completion_tokens=334), "1,234 tokens, $0.00"),
        (Spent(prompt_tokens=10, cost_usd=0.00421), "10 tokens, $0.0042"),
        (Spent(prompt_tokens=10, cost_usd=12.3), "10 tokens, $12.30"),
        (Spent(prompt_tokens=10, cost_usd=0.0000004), "10 tokens, $0.00000040"),
        (Spent(prompt_tokens=10, unpriced=2), "10 tokens, price unknown"),
        (
            Spent(prompt_tokens=10, cost_usd=0.5, unpriced=1),
            "10 tokens, $0.50 and 1 call of unknown price",
        ),
    ],
)
def test_spend_is_tokens_and_an_honest_price(spent: Spent, text: str) -> None:
    assert f"| {text} |" in page(running(spent=spent))


def test_gaps_are_named_with_their_time_range_and_the_others_counted() -> None:
    gaps = [
        Gap(stage="mine", unit_id=f"seg_{n:04d}", reason="no | answer", start=130, end=165)
        for n in range(1, 8)
    ]
    text = page(running(gaps=7, named=gap_notes(gaps)))
    assert "**7 gaps**" in text
    assert r"- mine seg_0001, 2:10-2:45: no \| answer" in text
    assert "seg_0003" in text
    assert "seg_0004" not in text
    assert "- and 4 more; the result names each" in text


def test_a_paused_page_says_why_and_how_to_go_on() -> None:
    text = page(running(elapsed=60), state="paused", message="The limit of $1 is reached.")
    assert "**paused**" in text
    assert "| mine | paused |" in text
    assert "The limit of $1 is reached.\n\nGo on: `stope resume pipeline-1`" in text
    assert "left" not in text


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("failed", "`stope resume pipeline-1`"),
        ("cancelled", "`stope resume pipeline-1`"),
        ("succeeded_with_gaps", "`stope retry pipeline-1 --gaps`"),
    ],
)
def test_a_page_that_ended_otherwise_than_well_says_what_to_do(state: str, command: str) -> None:
    assert command in page(StageRow(JobType.MINE, state), state=state)


def _report(attempt: int, tokens: int) -> ProgressReport:
    spent = Spent(prompt_tokens=tokens, cost_usd=tokens / 100)
    progress = StageProgress(job_type="mine", stage="mining", done=1, total=9, spent=spent)
    return ProgressReport(attempt=attempt, progress=progress)


def test_what_earlier_attempts_spent_is_not_forgotten() -> None:
    row = StageRow(JobType.MINE, RUNNING)
    for attempt, tokens in ((1, 10), (1, 30), (2, 5), (2, 7)):
        row = row.reported(_report(attempt, tokens))
    assert row.spent == Spent(prompt_tokens=37, cost_usd=0.37)
    # A pause ends the activity; the next one counts its attempts from 1 again.
    row = row.settled().reported(_report(1, 2))
    assert row.spent == Spent(prompt_tokens=39, cost_usd=0.39)
    for attempt, tokens in ((1, 39), (4, 41)):  # The last attempt may never have reported.
        done = StageDone(
            status=JobStatus.SUCCEEDED,
            output_id="x",
            result={},
            attempt=attempt,
            spent=Spent(prompt_tokens=2, cost_usd=0.02),
        )
        spent = row.finished("mine-1", done, kept=False).spent
        assert spent == Spent(prompt_tokens=tokens, cost_usd=tokens / 100)


def test_only_attributes_that_change_are_set_and_an_unknown_cost_is_none() -> None:
    shown = {STAGE.name: "mining", PROGRESS.name: 10, GAPS.name: 0, COST.name: 0.5}
    assert changes(shown, shown) == []
    [gaps, cost] = changes(shown, shown | {GAPS.name: 2, COST.name: None})
    assert (gaps.key, gaps.value) == (GAPS, 2)
    assert (cost.key, cost.value) == (COST, None)
    # A workflow from before these attributes is asked for none of them.
    older = {STAGE.name: "mining", PROGRESS.name: 10}
    assert changes(older, older) == []


def test_a_stage_of_an_older_pipeline_starts_without_the_newer_attributes() -> None:
    older = start_attributes(JobType.MINE, "talk.txt", counted=False)
    assert GAPS not in [pair.key for pair in older]
    assert GAPS in [pair.key for pair in start_attributes(JobType.MINE, "talk.txt")]
