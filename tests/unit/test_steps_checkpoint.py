"""A checkpoint says what a run's records say, and is used only for what it was written for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.step_pipeline import PIPELINE
from stope.models.gap import Gap
from stope.models.job import (
    InputFile,
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobRun,
    JobStatus,
    JobType,
    JsonObject,
    job_id_of,
)
from stope.models.steps import StepCheckpoint, StepRecord, StepStatus
from stope.steps.checkpoint import checkpoint_of, ended, misfits, parse, record_in
from stope.steps.definition import StepPipeline
from stope.steps.identity import run_guid_of, step_identity

DIGEST = "ab" * 32


def job(digest: str = DIGEST, **config: Any) -> Job:
    fields = {"pipeline": "letters", "pipeline_config": {"block": 1000, "height": 40}} | config
    source = JobInput(
        kind=InputKind.FILES,
        digest=digest,
        path="a.txt",
        files=(InputFile(path="a.txt", digest=digest),),
    )
    wanted = JobConfig.model_validate(fields)
    return Job(
        id=job_id_of(JobType.STEPS, source.identity, wanted, ""),
        type=JobType.STEPS,
        input=source,
        config=wanted,
        status=JobStatus.RUNNING,
        created_at=datetime.now(UTC),
    )


def run(run_id: str = "run-2") -> JobRun:
    return JobRun(
        run_id=run_id,
        job_id="letters-1",
        attempt=1,
        workflow_id="letters-1",
        status=JobStatus.RUNNING,
        created_at=datetime.now(UTC),
    )


def record(step: str, run_id: str = "run-1", **more: Any) -> StepRecord:
    fields: JsonObject = {
        "step": step,
        "identity": f"identity of {step}",
        "run_id": run_id,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "finished_at": "2026-01-01T00:00:02.500+00:00",
        "duration": 2.5,
        "metadata": {"bytes": 7},
    }
    return StepRecord.model_validate(fields | more)


def written(pipeline: StepPipeline = PIPELINE, of: Job | None = None) -> StepCheckpoint:
    records = {
        "read": record("read", gives={"text": {"$artifact": DIGEST, "type": "array", "bytes": 9}}),
        "count": record("count", "run-2", gives={"totals": [1, 2]}),
    }
    found = checkpoint_of(
        of or job(), run(), pipeline.definition, records, keys={"read": "k1", "count": "k2"}
    )
    read_again = parse(found.model_dump_json().encode())
    assert read_again == found
    return found


def test_it_has_the_documented_fields_and_ours_under_stope_only() -> None:
    body = written().model_dump(mode="json")
    assert set(body) == {
        *("pipeline_name", "run_guid", "completed_steps", "context", "steps_summary"),
        *("checkpoint_version", "stope"),
    }
    assert body["checkpoint_version"] == "1.0"
    assert body["completed_steps"] == ["read", "count"]
    assert body["context"] == {
        "text": {"$artifact": DIGEST, "type": "array", "bytes": 9},
        "totals": [1, 2],
    }
    assert set(body["steps_summary"]["read"]) == {
        *("status", "started_at", "finished_at", "duration", "attempt", "error", "metadata"),
    }


def test_a_step_of_an_earlier_run_is_skipped_with_its_own_times_and_metadata() -> None:
    summary = written().steps_summary
    assert summary["read"].status is StepStatus.SKIPPED
    assert (summary["read"].started_at, summary["read"].duration, summary["read"].metadata) == (
        "2026-01-01T00:00:00.000+00:00",
        2.5,
        {"bytes": 7},
    )
    assert summary["count"].status is StepStatus.COMPLETED
    assert summary["draw"].status is StepStatus.NOT_STARTED


def test_a_step_that_gave_nothing_is_not_complete() -> None:
    failed = record("draw", "run-2", status=StepStatus.FAILED, error="no ink")
    found = checkpoint_of(job(), run(), PIPELINE.definition, {"draw": failed}, keys={"draw": "k"})
    assert found.completed_steps == []
    assert found.steps_summary["draw"].status is StepStatus.FAILED
    assert found.steps_summary["draw"].error == "no ink"


def test_it_fits_what_it_was_written_for() -> None:
    assert misfits(written(), PIPELINE.definition, job()) == []


@pytest.mark.parametrize(
    ("pipeline", "of", "sentence"),
    [
        (replace(PIPELINE, name="words"), job(), "it is of the pipeline 'letters'"),
        (replace(PIPELINE, version=2), job(), "of version 1 of the pipeline, which is 2 now"),
        (replace(PIPELINE, steps=PIPELINE.steps[:2], outputs=()), job(), "there are read, count"),
        (
            replace(PIPELINE, steps=(*PIPELINE.steps[:2], replace(PIPELINE.steps[2], needs=()))),
            job(),
            "need and give other things",
        ),
        (PIPELINE, job("cd" * 32), "of another input"),
        (PIPELINE, job(pipeline_config={"block": 7, "height": 40}), "of another config"),
    ],
    ids=["name", "version", "steps", "declaration", "input", "config"],
)
def test_every_mismatch_is_explained(pipeline: StepPipeline, of: Job, sentence: str) -> None:
    [problem] = misfits(written(), pipeline.definition, of)
    assert sentence in problem


def test_a_step_may_move_to_another_queue() -> None:
    moved = tuple(replace(step, queue="llm") for step in PIPELINE.steps)
    assert misfits(written(), replace(PIPELINE, steps=moved).definition, job()) == []


def test_another_form_and_steps_of_nobody_are_explained() -> None:
    newer = written().model_copy(update={"checkpoint_version": "2.0"})
    assert "form '2.0'" in misfits(newer, PIPELINE.definition, job())[0]
    strange = written().model_copy(update={"completed_steps": ["read", "sing"]})
    assert "sing is complete" in misfits(strange, PIPELINE.definition, job())[0]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"pipeline_name": "letters"}'])
def test_what_is_no_checkpoint_is_told(data: bytes) -> None:
    assert parse(data) is None


def test_a_finished_step_can_be_taken_over_from_it_alone() -> None:
    gap = Gap(stage="count", unit_id="block_0001", reason="torn")
    kept = written()
    kept.stope.gaps = {"count": (gap,)}
    taken = record_in(kept, "count", "identity")
    assert taken is not None
    assert (taken.duration, taken.metadata, taken.gaps) == (2.5, {"bytes": 7}, (gap,))
    assert record_in(kept, "draw", "identity") is None


@pytest.mark.parametrize(
    ("status", "shown"),
    [(JobStatus.FAILED, "failed"), (JobStatus.CANCELLED, "cancelled")],
)
def test_the_step_at_work_ends_with_its_run(status: JobStatus, shown: str) -> None:
    body = written().model_dump(mode="json")
    body["steps_summary"]["draw"]["status"] = "in_progress"
    ended(body, status, "the sentence", "2026-01-02")
    assert body["steps_summary"]["draw"]["status"] == shown
    assert body["steps_summary"]["draw"]["error"] == "the sentence"
    assert body["steps_summary"]["count"]["status"] == "completed"
    assert body["completed_steps"] == ["read", "count"]


def test_the_same_request_finds_the_same_run_and_another_does_not() -> None:
    assert run_guid_of(job()) == run_guid_of(job())
    others = [job("cd" * 32), job(pipeline_config={"block": 7}), job(pipeline="words")]
    assert len({run_guid_of(one) for one in [job(), *others]}) == 4
    given = job(run_guid="nightly-7")
    assert run_guid_of(given) == "nightly-7"
    assert job().id.startswith("letters-")
    assert len({one.id for one in [job(), *others, given]}) == 5


def test_a_step_is_the_same_one_as_long_as_nothing_that_it_depends_on_changes() -> None:
    count = PIPELINE.step("count")

    def identity(of: Job, context: dict[str, object], generation: str = "") -> str:
        return step_identity(of, PIPELINE.definition, count, context, generation)

    context: dict[str, object] = {"text": {"$artifact": DIGEST}}
    same = identity(job(), context)
    # Its height matters to the chart only.
    assert identity(job(pipeline_config={"block": 1000, "height": 9}), context) == same
    assert identity(job(), context | {"unrelated": 1}) == same
    assert identity(job(pipeline_config={"block": 5, "height": 40}), context) != same
    assert identity(job("cd" * 32), context) != same
    assert identity(job(), {"text": {"$artifact": "cd" * 32}}) != same
    assert identity(job(), context, "afresh") != same
    assert identity(job().model_copy(update={"namespace": "n"}), context) != same
