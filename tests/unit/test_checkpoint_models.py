"""The mirrored checkpoints: the documented fields, exactly as named, and nothing beside them."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

import stope.stage
from stope.errors import ProviderUnavailableError
from stope.models.checkpoint import (
    Checkpoint,
    CheckpointError,
    CheckpointMeta,
    FlagshipCheckpoint,
    MineCheckpoint,
    PipelineCheckpoint,
    TranscribeCheckpoint,
    UploadCheckpoint,
)
from stope.speech.stage import _show_transcript
from tests.builders import named_json, transcript_of
from tests.mining import MineRun, mining_model

DOCUMENTED = {
    TranscribeCheckpoint: (
        *("stage", "file_path", "transcript_path", "transcript_text"),
        *("language", "duration", "final_result"),
    ),
    MineCheckpoint: (
        *("stage", "total_segments", "completed_segments"),
        *("progress_percent", "final_result"),
    ),
    FlagshipCheckpoint: (
        *("stage", "total_claims", "completed_claims"),
        *("progress_percent", "final_result"),
    ),
    UploadCheckpoint: (
        *("stage", "total_items", "completed_items"),
        *("progress_percent", "final_result"),
    ),
    PipelineCheckpoint: ("completed_stages", "results"),
}
STAGES = {
    TranscribeCheckpoint: "validating transcribing diarizing storing completed failed",
    MineCheckpoint: "parsing mining storing completed failed",
    FlagshipCheckpoint: "loading evaluating storing completed failed",
    UploadCheckpoint: "preparing uploading verifying completed failed",
}


def new(model: type[Checkpoint]) -> Checkpoint:
    fields = {"file_path": "/talk.opus"} if model is TranscribeCheckpoint else {}
    return model.model_validate(fields)


@pytest.mark.parametrize("model", DOCUMENTED)
def test_a_checkpoint_has_its_documented_fields_and_stope(model: type[Checkpoint]) -> None:
    body = new(model).model_dump(mode="json")
    assert set(body) == {*DOCUMENTED[model], "stope"}
    assert model.model_validate(body) == new(model)


@pytest.mark.parametrize("model", DOCUMENTED)
def test_no_other_field_can_be_added(model: type[Checkpoint]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate(new(model).model_dump() | {"eta": 3})
    with pytest.raises(ValidationError, match="no attribute"):
        new(model).eta = 3  # type: ignore[attr-defined]  # that is the point


@pytest.mark.parametrize("model", STAGES)
def test_the_stages_are_those_of_the_documentation(model: type[Checkpoint]) -> None:
    stages = STAGES[model].split()
    assert list(get_args(model.model_fields["stage"].annotation)) == stages
    assert new(model).model_dump()["stage"] == stages[0]
    with pytest.raises(ValidationError, match="stage"):
        model.model_validate(new(model).model_dump() | {"stage": "thinking"})


@pytest.mark.parametrize("model", [MineCheckpoint, FlagshipCheckpoint])
@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_lies_between_0_and_100(model: type[Checkpoint], percent: int) -> None:
    with pytest.raises(ValidationError, match="progress_percent"):
        model.model_validate({"progress_percent": percent})


def test_our_own_fields_stand_under_stope() -> None:
    error = CheckpointError(type="Input", message="It is empty.", stage="mining", at="2030-01-01")
    meta = CheckpointMeta(error=error).model_dump()
    times = {"started_at", "updated_at", "seconds_left"}
    numbers = {"schema_version", "version", "attempt"}
    assert set(meta) == times | numbers | {"transcript_text_omitted", "error"}
    assert set(meta["error"]) == {"type", "message", "stage", "at"}


@pytest.mark.parametrize(("limit", "omitted"), [(7, False), (6, True)])
def test_a_long_text_is_left_out_and_the_record_says_so(limit: int, omitted: bool) -> None:
    checkpoint = TranscribeCheckpoint(file_path="/talk.opus")
    _show_transcript(checkpoint, transcript_of("Zwölf."), "file:///t", limit)
    assert checkpoint.transcript_path == "file:///t"
    assert checkpoint.transcript_text == (None if omitted else "Zwölf.")
    assert checkpoint.stope.transcript_text_omitted is omitted


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> MineRun:
    """A mine run of three segments, six units, that mirrors every change."""
    monkeypatch.setattr(stope.stage, "MIRROR_SECONDS", 0)
    return MineRun(transcript_of(*(f"{word} " * 30 for word in ("one", "two", "three"))))


async def test_the_mirror_follows_a_run_from_stage_to_stage(run: MineRun) -> None:
    outcome = await run.attempt(mining_model())
    shown = [(body["stage"], body["progress_percent"]) for body in run.mirror.bodies]
    mining = [("mining", percent) for percent in (0, 0, 16, 33, 50, 66, 83, 100)]
    assert shown == [("parsing", 0), *mining, ("storing", 100), ("completed", 100)]
    last = run.mirror.bodies[-1]
    assert last["total_segments"] == 3
    assert last["completed_segments"] == ["seg_0001", "seg_0002", "seg_0003"]
    assert [body["final_result"] for body in run.mirror.bodies[:-1]] == [None] * 10
    assert last["final_result"] == outcome.final_result()
    assert set(outcome.final_result()) == {"status", "output_id", "result"}
    assert (outcome.result["claims_extracted"], outcome.result["evidence_spans"]) == (3, 3)


async def test_progress_never_falls_also_over_a_retry(run: MineRun) -> None:
    answers = iter([named_json(), ProviderUnavailableError("no answer")])
    with pytest.raises(ProviderUnavailableError):
        await run.attempt(mining_model(lambda _: next(answers)))
    await run.attempt(mining_model())
    shown = [body["progress_percent"] for body in run.mirror.bodies]
    assert shown == sorted(shown)
    assert shown.count(50) > 1
