"""Run facts: what a job took, stage by stage."""

from __future__ import annotations

from pydantic import Field

from stope.models.frozen import Frozen
from stope.models.job import Job, JobRun, JobType


class StageFacts(Frozen):
    """The newest finished run of one stage. None means that the run did not record it."""

    stage: str = Field(description="transcribe, mine or flagship")
    model: str | None = None
    attempts: int = Field(ge=1, description="runs of this stage so far")
    finished_at: str | None = Field(default=None, description="ISO 8601, UTC")
    wall_seconds: float | None = Field(default=None, ge=0)
    engine_seconds: float | None = Field(
        default=None, ge=0, description="spent inside the model, all parallel calls added up"
    )
    units_done: int | None = Field(default=None, ge=0, description="done by this run")
    units_reused: int | None = Field(default=None, ge=0, description="committed before this run")
    llm_calls: int | None = Field(default=None, ge=0)
    llm_answers_reused: int | None = Field(
        default=None, ge=0, description="answers that were paid for before"
    )
    llm_answers_from_other_models: int | None = Field(
        default=None, ge=0, description="another model's answers that were taken over"
    )
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    cost_usd: float | None = Field(
        default=None, ge=0, description="of the calls whose price is known"
    )
    cost_saved_usd: float | None = Field(
        default=None, ge=0, description="what the reused answers had cost"
    )
    llm_calls_unpriced: int | None = Field(
        default=None, ge=0, description="calls whose price is not known"
    )


class RunFacts(Frozen):
    """The stages of a job in their order."""

    stages: tuple[StageFacts, ...]


_AMOUNTS = ("wall_seconds", "engine_seconds", "cost_usd", "cost_saved_usd")
_COUNTS = (
    "units_done",
    "units_reused",
    "llm_calls",
    "llm_answers_reused",
    "llm_answers_from_other_models",
    "prompt_tokens",
    "completion_tokens",
    "llm_calls_unpriced",
)


def stage_facts(job: Job, runs: list[JobRun]) -> StageFacts | None:
    """The facts of a stage's job; None when no run of it has a result."""
    finished = [run for run in runs if run.status.has_result]
    if not finished:
        return None
    run = max(finished, key=lambda candidate: candidate.attempt)
    metrics = run.metrics or {}
    amounts = {name: _number(metrics.get(name)) for name in _AMOUNTS}
    counts = {name: _number(metrics.get(name)) for name in _COUNTS}
    config = job.config
    model = {
        JobType.TRANSCRIBE: config.asr_model,
        JobType.MINE: config.miner_model,
        JobType.FLAGSHIP: config.flagship_model,
    }.get(job.type)
    return StageFacts(
        stage=job.type.value,
        model=model or None,
        attempts=len(runs),
        finished_at=run.finished_at.isoformat(timespec="seconds") if run.finished_at else None,
        **amounts,
        **{name: None if value is None else int(value) for name, value in counts.items()},
    )


def _number(value: object) -> float | None:
    """A count or a time, as a record of another version may hold it: anything else is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return float(value)
