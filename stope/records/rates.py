"""How fast earlier runs were: the time left before a run has a rate of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from sqlalchemy import select

from stope.models.job import Job, JobConfig, JobStatus, JobType, JsonObject
from stope.records.database import Database
from stope.records.schema import job, job_run

NEWEST = 200
"""So many runs are looked through: older ones tell little about this machine as it is now."""

_DECIDES_SPEED = {
    JobType.TRANSCRIBE: ("asr_model", "diarize", "diarizer"),
    JobType.MINE: ("miner_model", "segment_tokens", "selection"),
    JobType.FLAGSHIP: ("flagship_model",),
}
_MAIN = {JobType.MINE: "mining", JobType.FLAGSHIP: "evaluating"}


class EarlierRates:
    """Reads the metrics of finished runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def usual(self, of: Job) -> dict[str, float]:
        """Median seconds, by stage of the checkpoint, over runs of the same kind and models.

        ``mining`` and ``evaluating``: for a unit. ``transcribing`` and ``diarizing``: for a second
        of the recording. What no earlier run did is left out.
        """
        fields = _DECIDES_SPEED.get(of.type, ())
        query = (
            select(job_run.c.metrics_json, job.c.config_json, job.c.result_json)
            .join(job, job.c.id == job_run.c.job_id)
            .where(
                job.c.type == of.type.value,
                job_run.c.status.in_([status.value for status in JobStatus if status.has_result]),
            )
            .order_by(job_run.c.finished_at.desc(), job_run.c.run_id)
            .limit(NEWEST)
        )
        found: defaultdict[str, list[float]] = defaultdict(list)
        for row in await self._database.fetch(query):
            earlier = JobConfig.model_validate(row.config_json)
            if all(getattr(earlier, name) == getattr(of.config, name) for name in fields):
                for stage, seconds in _rates(
                    of.type, row.metrics_json or {}, row.result_json or {}
                ):
                    found[stage].append(seconds)
        return {stage: median(seconds) for stage, seconds in found.items()}


def _rates(kind: JobType, metrics: JsonObject, result: JsonObject) -> Iterator[tuple[str, float]]:
    """What one run says: the stage of its checkpoint, and seconds for each unit or second."""
    done, reused = _number(metrics, "units_done"), _number(metrics, "units_reused")
    wall = _number(metrics, "wall_seconds")
    if not done or not wall:
        return
    if kind in _MAIN:
        yield _MAIN[kind], wall / done
    elif kind is JobType.TRANSCRIBE:
        parts = result.get("result")
        heard = _number(parts if isinstance(parts, dict) else {}, "duration")
        heard *= done / (done + reused)
        diarizing = _number(metrics, "diarization_seconds")
        if heard:
            yield "transcribing", max(0.0, wall - diarizing) / heard
            if diarizing:
                yield "diarizing", diarizing / heard


def _number(values: JsonObject, name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
