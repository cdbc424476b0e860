"""Jobs from requests: what is asked for, on what, and the id that follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from jobs.control import JobControl
from jobs.request import read_config
from stope.engines import check_model_names
from stope.errors import ArtifactError, InputError, UsageError
from stope.job_input import input_from_location, stored_digest
from stope.models.job import (
    InputKind,
    Job,
    JobConfig,
    JobInput,
    JobStatus,
    JobType,
    job_id_of,
)
from stope.models.knowledge import Knowledge, MinedClaims
from stope.models.route import HANDED_ON, handed_to
from stope.models.transcript import Transcript
from stope.recipes import recipe_of, steps_recipe
from stope.sources.location import is_remote
from stope.steps.identity import checked_run_guid
from stope.steps.registry import load_pipelines
from stope.upload.places import place_url

_DOCUMENTS: dict[JobType, type[BaseModel]] = {
    JobType.MINE: Transcript,
    JobType.FLAGSHIP: MinedClaims,
    JobType.UPLOAD: Knowledge,
}
"""By stage: what the document is that it takes from a store."""


class JobCreation(JobControl):
    """Creates jobs, and starts them where that is wanted."""

    async def create_job(
        self,
        job_type: JobType | str,
        input_id: str | Path,
        config: JobConfig | Mapping[str, object] | None = None,
        *,
        auto_process: bool = False,
        run_guid: str | None = None,
        strict_resume: bool | None = None,
        keep_checkpoint: bool | None = None,
    ) -> str:
        """The id of the job for a request; the same request always gives the same id.

        Args:
            job_type: ``transcribe``, ``mine``, ``flagship``, ``upload`` or ``pipeline``.
            input_id: a file, by its path or its ``s3://``, ``gs://`` or ``https://`` URL; the id
                of a finished job whose result is the input; or a stored document: its digest or
                its artifact's URI. Any name will do where the config has the file as
                ``file_path``.
            config: what decides the output; what is left out has the settings' defaults. Beside
                it ``file_path``, and how it is worked on: ``max_workers`` (None: found out) and
                ``enable_parallel_processing`` (False: one call at a time).
            auto_process: start it at once, without waiting, and after it the next stage, and so
                on to the last. Workflows do that, so it survives this process.
            run_guid: of a pipeline's run folder; default: made from input and config. With one of
                its own the same request is another job.
            strict_resume: a pipeline fails where what is kept of its run does not fit; default: it
                starts afresh.
            keep_checkpoint: a pipeline leaves its checkpoint after a success, too.

        Raises:
            UsageError: an unknown type, model or config field, an input of the wrong kind, or
                the last three for a job that is no pipeline.
            InputError: the file is missing or unreadable.
            StorageUnavailableError: it is remote and cannot be reached.
        """
        await self.open()
        kind = _job_type(job_type)
        given, asked = read_config(config)
        if run_guid is not None:
            given["run_guid"] = checked_run_guid(run_guid)
        resuming = {"strict_resume": strict_resume, "keep_checkpoint": keep_checkpoint}
        _check_resuming(kind, {"run_guid": given.get("run_guid") or None} | resuming)
        wanted = self._config(given)
        source = await self._input(kind, asked.file_path or str(input_id))
        job = await self._created(kind, source, wanted, max_workers=asked.workers, **resuming)
        if auto_process:
            await self._jobs.set_config(job.id, wanted)
            await self.start_job(job.id, chain=True)
        return job.id

    async def _created(
        self, kind: JobType, source: JobInput, config: JobConfig, **options: object
    ) -> Job:
        """The job of a request, made where there is none yet."""
        check_model_names(config.asr_model, config.miner_model, config.flagship_model)
        if kind is JobType.UPLOAD and not config.upload_to:
            raise UsageError("An upload job needs to know where to: set upload_to in its config.")
        recipe = recipe_of(kind, uploads=bool(config.upload_to))
        if kind is JobType.STEPS:
            recipe = steps_recipe(load_pipelines(self.settings).get(config.pipeline).version)
        job = await self._jobs.create(
            Job(
                id=job_id_of(kind, source.identity, config, recipe),
                type=kind,
                input=source,
                config=config,
                status=JobStatus.QUEUED,
                created_at=datetime.now(UTC),
            )
        )
        if job.input.path != source.path and not await _is_there(job.input.path):
            # The file was moved: the job reads it where it is now.
            await self._jobs.set_input(job.id, source)
        return await self._with_options(job, **options)

    def _config(self, given: Mapping[str, object]) -> JobConfig:
        defaults: dict[str, object] = {
            "asr_model": self.settings.asr,
            "diarizer": self.settings.diarizer,
            "miner_model": self.settings.llm,
            "flagship_model": self.settings.llm,
        }
        filled = defaults | {
            name: value for name, value in given.items() if value not in (None, "")
        }
        if filled.get("upload_to"):
            filled["upload_to"] = place_url(str(filled["upload_to"]))
        try:
            return JobConfig.model_validate(filled)
        except ValueError as error:
            raise UsageError(f"The config cannot be used: {error}") from error

    async def _input(self, kind: JobType, input_id: str) -> JobInput:
        if any(input_id.startswith(f"{name.value}-") for name in JobType):
            return await self._input_from_job(kind, await self.job(input_id))
        if (digest := stored_digest(input_id)) is not None:
            return await self._input_from_store(kind, digest)
        source = await self._given(input_id)
        if kind is JobType.FLAGSHIP:
            raise UsageError(
                "A flagship job judges the claims of a finished mine or pipeline job; give its id."
            )
        if kind is JobType.UPLOAD:
            raise UsageError(
                "An upload job publishes what a finished mine, flagship or pipeline job knows; "
                "give its id."
            )
        if kind is JobType.MINE and source.kind is InputKind.RECORDING:
            raise UsageError(
                f"{source.path} is not a text transcript; `stope run` transcribes a recording "
                "first."
            )
        if kind is JobType.TRANSCRIBE and source.kind is not InputKind.RECORDING:
            raise UsageError(f"{source.path} is text already; start at mine or pipeline.")
        return source

    async def _given(self, location: str) -> JobInput:
        """What a path or URL of the user's is."""
        return await input_from_location(
            location, self._sources, self._artifacts(), self.settings.scratch
        )

    async def _input_from_store(self, kind: JobType, digest: str) -> JobInput:
        """A stored document as the input; it is read once, to know that it is one."""
        stage = _taking(kind)
        artifacts = self._artifacts()
        try:
            await artifacts.get_model(digest, _DOCUMENTS[stage])
        except ArtifactError as error:
            raise InputError(
                f"{digest} is not a stored {HANDED_ON[stage][0].value}: {error}"
            ) from error
        return JobInput(kind=HANDED_ON[stage][0], digest=digest, path=artifacts.uri(digest))

    async def _input_from_job(self, kind: JobType, job: Job) -> JobInput:
        stage = _taking(kind)
        if not job.status.has_result or job.result is None:
            raise InputError(f"The job {job.id} has no result yet; wait for it, then start this.")
        parts = job.result["result"]
        found = parts if isinstance(parts, dict) else {}
        source = handed_to(stage, found, self._artifacts().uri)
        if source is None and stage is JobType.UPLOAD:
            # A mine job has no verdicts; its claims can be published all the same.
            source = handed_to(JobType.FLAGSHIP, found, self._artifacts().uri)
        if source is None:
            raise UsageError(
                f"The job {job.id} gives no {HANDED_ON[stage][0].value}, which a {kind.value} job "
                "needs."
            )
        return source


def _check_resuming(kind: JobType, given: Mapping[str, object]) -> None:
    """See that what only pipelines have is given for a pipeline.

    Raises:
        UsageError: it is not, or the run id cannot be used.
    """
    named = [name for name, value in given.items() if value is not None]
    if named and kind is not JobType.PIPELINE:
        raise UsageError(
            f"A {kind.value} job has no run folder of its own, so {', '.join(named)} cannot be "
            "given for it; a pipeline has one."
        )
    if given["run_guid"] is not None:
        checked_run_guid(str(given["run_guid"]))


async def _is_there(location: str) -> bool:
    """Whether an input can still be read where a job has it.

    Of a URL nobody knows, while what was given now has just been read.
    """
    return not is_remote(location) and await asyncio.to_thread(Path(location).exists)


def _taking(kind: JobType) -> JobType:
    """The stage that takes the input of a job which starts from what another one made."""
    if kind is JobType.TRANSCRIBE:
        raise UsageError("A transcribe job starts from a recording, not from a job.")
    return JobType.MINE if kind is JobType.PIPELINE else kind


def _job_type(value: JobType | str) -> JobType:
    if value == JobType.STEPS:
        raise UsageError(
            "A job of a step pipeline is created by create_pipeline, or by `stope pipeline`."
        )
    try:
        return JobType(value)
    except ValueError as error:
        known = ", ".join(item.value for item in JobType if item is not JobType.STEPS)
        raise UsageError(f"There is no job type {value!r}; there are {known}.") from error
