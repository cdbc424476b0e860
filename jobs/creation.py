"""Jobs from requests: what is asked for, on what, and the id that follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jobs.control import JobControl
from stope.engines import check_model_names
from stope.errors import InputError, UsageError
from stope.job_input import input_from_path
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    job_id_of,
)
from stope.recipes import recipe_of


class JobCreation(JobControl):
    """Creates jobs, and starts them where that is wanted."""

    async def create_job(
        self,
        job_type: JobType | str,
        input_id: str | Path,
        config: JobConfig | Mapping[str, object] | None = None,
        *,
        auto_process: bool = False,
    ) -> str:
        """The id of the job for a request; the same request always gives the same id.

        Args:
            job_type: ``transcribe``, ``mine``, ``flagship`` or ``pipeline``.
            input_id: a file, or the id of a finished job whose result is the input.
            config: what decides the output; what is left out has the settings' defaults.
            auto_process: start it at once, without waiting.

        Raises:
            UsageError: an unknown type, model or config field, or an input of the wrong kind.
            InputError: the file is missing or unreadable.
        """
        kind = _job_type(job_type)
        wanted = self._config(config)
        check_model_names(wanted.asr_model, wanted.miner_model, wanted.flagship_model)
        source = await self._input(kind, str(input_id))
        job = await self._jobs.create(
            Job(
                id=job_id_of(kind, source.identity, wanted, recipe_of(kind)),
                type=kind,
                input=source,
                config=wanted,
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        if job.input.path != source.path and not await asyncio.to_thread(
            Path(job.input.path).exists
        ):
            # The file was moved: the job reads it where it is now.
            await self._jobs.set_input(job.id, source)
        if auto_process:
            await self.start_job(job.id)
        return job.id

    def _config(self, config: JobConfig | Mapping[str, object] | None) -> JobConfig:
        given = config.model_dump() if isinstance(config, JobConfig) else dict(config or {})
        unknown = set(given) - set(JobConfig.model_fields)
        if unknown:
            raise UsageError(
                f"The config has the unknown field {min(unknown)!r}; known are "
                f"{', '.join(JobConfig.model_fields)}."
            )
        defaults: dict[str, object] = {
            "asr_model": self.settings.asr,
            "diarizer": self.settings.diarizer,
            "miner_model": self.settings.llm,
            "flagship_model": self.settings.llm,
        }
        filled = defaults | {
            name: value for name, value in given.items() if value not in (None, "")
        }
        try:
            return JobConfig.model_validate(filled)
        except ValueError as error:
            raise UsageError(f"The config cannot be used: {error}") from error

    async def _input(self, kind: JobType, input_id: str) -> JobInput:
        if any(input_id.startswith(f"{name.value}-") for name in JobType):
            return await self._input_from_job(kind, await self.job(input_id))
        source = await input_from_path(Path(input_id), self._sources)
        if kind is JobType.FLAGSHIP:
            raise UsageError(
                "A flagship job judges the claims of a finished mine or pipeline job; give its id."
            )
        if kind is JobType.MINE and source.kind is InputKind.RECORDING:
            raise UsageError(
                f"{input_id} is not a text transcript; `stope run` transcribes a recording first."
            )
        if kind is JobType.TRANSCRIBE and source.kind is not InputKind.RECORDING:
            raise UsageError(f"{input_id} is text already; start at mine or pipeline.")
        return source

    async def _input_from_job(self, kind: JobType, job: Job) -> JobInput:
        wanted = {
            JobType.MINE: (InputKind.TRANSCRIPT, "transcript"),
            JobType.PIPELINE: (InputKind.TRANSCRIPT, "transcript"),
            JobType.FLAGSHIP: (InputKind.CLAIMS, "claims"),
        }.get(kind)
        if wanted is None:
            raise UsageError("A transcribe job starts from a recording, not from a job.")
        input_kind, noun = wanted
        if not job.status.has_result or job.result is None:
            raise InputError(f"The job {job.id} has no result yet; wait for it, then start this.")
        parts = job.result["result"]
        digest = parts.get(f"{noun}_digest") if isinstance(parts, dict) else None
        if digest is None:
            raise UsageError(f"The job {job.id} gives no {noun}, which a {kind.value} job needs.")
        path = str(parts.get(f"{noun}_path", job.id)) if isinstance(parts, dict) else job.id
        return JobInput(kind=input_kind, digest=str(digest), path=path)


def _job_type(value: JobType | str) -> JobType:
    try:
        return JobType(value)
    except ValueError as error:
        known = ", ".join(item.value for item in JobType)
        raise UsageError(f"There is no job type {value!r}; there are {known}.") from error
