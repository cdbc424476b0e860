"""What an activity is about to do is said as far as it is known, and no further."""

from __future__ import annotations

import pytest

from stope.models.job import JobType, JsonObject
from stope.scope import scope_of


def mined(total: int, *done: int) -> JsonObject:
    return {"total_segments": total, "completed_segments": [f"seg_{n:04d}" for n in done]}


@pytest.mark.parametrize(
    ("stage", "checkpoints", "handed", "scope"),
    [
        (JobType.MINE, [], {}, None),
        (JobType.MINE, [], {"words": 2340}, "words 1-2,340"),
        (JobType.MINE, [{"stage": "parsing"}], {"words": 9}, "words 1-9"),
        (JobType.MINE, [mined(24)], {}, "segments 1-24"),
        (JobType.MINE, [mined(24, 1, 2, 3)], {"words": 9}, "segments 4-24 of 24"),
        (JobType.MINE, [mined(24, 1, 3)], {}, "22 of 24 segments"),
        (JobType.MINE, [mined(2, 1, 2)], {}, "all 2 segments are there"),
        (JobType.MINE, [{}, mined(24, 1)], {}, "segments 2-24 of 24"),
        (JobType.FLAGSHIP, [], {"claims_extracted": 57}, "claims 1-57"),
        (JobType.FLAGSHIP, [], {"claims_extracted": 0}, None),
        (
            JobType.FLAGSHIP,
            [{"total_claims": 57, "completed_claims": ["clm_1", "clm_2"]}],
            {},
            "55 of 57 claims",
        ),
        (JobType.TRANSCRIBE, [], {}, None),
        (JobType.TRANSCRIBE, [{"duration": 3725.5}], {}, "0:00-1:02:05"),
        (JobType.PIPELINE, [{"completed_stages": []}], {"words": 9}, None),
    ],
)
def test_scope(
    stage: JobType, checkpoints: list[JsonObject], handed: JsonObject, scope: str | None
) -> None:
    assert scope_of(stage, checkpoints, handed) == scope


def test_a_job_made_afresh_counts_on_nothing_of_the_runs_before() -> None:
    assert scope_of(JobType.MINE, [mined(24, 1, 2)], afresh=True) == "segments 1-24"
