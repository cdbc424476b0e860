"""The mirrored checkpoint records, with the documented fields exactly as named.

A mirror shows people where a run stands; the committed units are the truth. Additional fields
live only under ``stope``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from stope.models.job import JsonObject

CHECKPOINT_SCHEMA = 1


class CheckpointError(BaseModel):
    """Why a run failed, beside the progress it kept."""

    type: str
    message: str
    stage: str
    at: str = Field(description="ISO 8601, UTC")


class CheckpointMeta(BaseModel):
    """Our own fields. ``version`` only grows; a mirror of an older ``attempt`` is refused."""

    schema_version: int = CHECKPOINT_SCHEMA
    version: int = 0
    attempt: int = 0
    started_at: str | None = None
    updated_at: str | None = None
    seconds_left: float | None = None
    transcript_text_omitted: bool = False
    error: CheckpointError | None = None


class Checkpoint(BaseModel):
    """What every checkpoint has. Mutable: the stage that owns it fills it as it goes."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    stope: CheckpointMeta = Field(default_factory=CheckpointMeta)


class TranscribeCheckpoint(Checkpoint):
    """Where a transcribe run stands."""

    stage: Literal["validating", "transcribing", "diarizing", "storing", "completed", "failed"] = (
        "validating"
    )
    file_path: str
    transcript_path: str | None = None
    transcript_text: str | None = None
    language: str | None = None
    duration: float | None = None
    final_result: JsonObject | None = None


class MineCheckpoint(Checkpoint):
    """Where a mine run stands."""

    stage: Literal["parsing", "mining", "storing", "completed", "failed"] = "parsing"
    total_segments: int | None = None
    completed_segments: list[str] = Field(default_factory=list)
    progress_percent: int = Field(default=0, ge=0, le=100)
    final_result: JsonObject | None = None


class FlagshipCheckpoint(Checkpoint):
    """Where a flagship run stands."""

    stage: Literal["loading", "evaluating", "storing", "completed", "failed"] = "loading"
    total_claims: int | None = None
    completed_claims: list[str] = Field(default_factory=list)
    progress_percent: int = Field(default=0, ge=0, le=100)
    final_result: JsonObject | None = None


class UploadCheckpoint(Checkpoint):
    """Where an upload run stands. ``completed_items`` are at the destination, by their names."""

    stage: Literal["preparing", "uploading", "verifying", "completed", "failed"] = "preparing"
    total_items: int | None = None
    completed_items: list[str] = Field(default_factory=list)
    progress_percent: int = Field(default=0, ge=0, le=100)
    final_result: JsonObject | None = None


class PipelineCheckpoint(Checkpoint):
    """Which stages of a pipeline are complete, and what they gave."""

    completed_stages: list[str] = Field(default_factory=list)
    results: dict[str, JsonObject] = Field(default_factory=dict)
