"""The client: create jobs, process them, watch them, read their checkpoints and results.

Everything the command line does, for Python::

    async with JobClient() as client:
        job_id = await client.create_job("pipeline", "interview.opus")
        result = await client.process_job(job_id)

A worker must run somewhere (``stope up``, ``stope worker``, or ``worker.run_worker``). A job that
has its result answers from the records, without Temporal.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from search_attributes import register_search_attributes
from stope import names
from stope.artifacts import ArtifactStore
from stope.dev_server import DevServer
from stope.engines import check_model_names
from stope.errors import InputError, ServerUnavailableError, StopeError, UsageError
from stope.job_input import input_from_path
from stope.models.job import (
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
from stope.models.messages import JobRequest, RunOptions, StageDone
from stope.models.progress import StageProgress
from stope.models.view import JobView, StageView
from stope.recipes import recipe_of
from stope.records.database import Database
from stope.records.jobs import JobRecords
from stope.records.sources import SourceDigests
from stope.records.speakers import SpeakerNames
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for, write_exports
from stope.report.facts import RunFacts, stage_facts
from stope.report.load import load_document
from stope.report.recording import recording_url
from stope.report.speakers import (
    SpeakerShare,
    checked_names,
    speaker_shares,
    transcript_digest_of,
)
from stope.settings import Settings, load_settings
from workflows.attributes import start_attributes
from workflows.labels import source_label, static_details, title

_CONNECT_SECONDS = 10.0

_CLOSE_SECONDS = 5.0
"""How long a finished run may take to close while a worker is there."""


class JobFailedError(StopeError):
    """A job ended without a result. ``str(error)`` is its run's own sentence."""

    def __init__(self, job_id: str, status: JobStatus, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status


async def connect_temporal(settings: Settings) -> Client:
    """A Temporal client: ``TEMPORAL_*`` and its profiles when set, else this home's own server.

    Raises:
        ServerUnavailableError: nothing answers there.
    """
    options = ClientConfig.load_client_connect_config()
    if settings.temporal_address is not None:
        where = settings.temporal_address
    else:
        server = await asyncio.to_thread(DevServer(settings).running)
        if server is None:
            raise ServerUnavailableError(
                f"No Temporal server runs for {settings.home}; `stope up` starts one, or set "
                "TEMPORAL_ADDRESS."
            )
        where = server.address
    options["target_host"] = where
    deadline = asyncio.get_running_loop().time() + _CONNECT_SECONDS
    while True:
        try:
            return await Client.connect(
                data_converter=pydantic_data_converter, runtime=_runtime(), **options
            )
        except (RuntimeError, RPCError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise ServerUnavailableError(
                    f"The Temporal server at {where} does not answer ({_reason(error)}); check "
                    "that it runs and that TEMPORAL_ADDRESS is right."
                ) from error
            await asyncio.sleep(0.2)


def _reason(error: Exception) -> str:
    """The system's own words out of the SDK's nested description of an error."""
    found = re.search(r'message: "([^"]+)"', str(error))
    return found.group(1).lower() if found else str(error)


@cache
def _runtime() -> Runtime:
    """The SDK's core without a line for every retry: a server that is away is said once, by us."""
    logging = LoggingConfig(filter="error,temporalio_client::retry=off")
    return Runtime(telemetry=TelemetryConfig(logging=logging))


class JobClient:
    """One person's view of the jobs of one home, or of one cluster.

    Args:
        settings: default: from the environment.
        temporal: an open Temporal client; default: connected when first needed.
    """

    def __init__(self, settings: Settings | None = None, temporal: Client | None = None) -> None:
        self.settings = settings or load_settings()
        self._temporal = temporal
        self._has_search_attributes: bool | None = None
        self._database = Database(self.settings.records_url)
        self._jobs = JobRecords(self._database)
        self._sources = SourceDigests(self._database)
        self._names = SpeakerNames(self._database)

    async def __aenter__(self) -> Self:
        await self._database.migrate()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._database.close()

    async def temporal(self) -> Client:
        """The Temporal client, connected on first use."""
        if self._temporal is None:
            self._temporal = await connect_temporal(self.settings)
        return self._temporal

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

    async def start_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
    ) -> Job:
        """Start a job, or join it where it runs. A job with a result is left alone.

        Args:
            job_id: which.
            resume_from_checkpoint: False gives it a namespace of its own: nothing old is read.
            max_workers: LLM calls in flight.

        Raises:
            UsageError: it is to start afresh while it runs.
            ServerUnavailableError: Temporal does not answer.
        """
        job = await self._jobs.get(job_id)
        if resume_from_checkpoint and job.status.has_result and job.result is not None:
            return job
        temporal = await self.temporal()
        if not resume_from_checkpoint:
            if await self._is_open(temporal, job_id):
                raise UsageError(
                    f"The job {job_id} is running; `stope cancel {job_id}` ends it before it can "
                    "start afresh."
                )
            await self._jobs.set_namespace(job_id, uuid.uuid4().hex)
        if self._has_search_attributes is None:
            self._has_search_attributes = await register_search_attributes(temporal)
        label = source_label(job.input)
        await self._let_close(temporal, job_id)
        handle = await temporal.start_workflow(
            names.WORKFLOW_OF_TYPE[job.type.value],
            JobRequest(
                job_id=job_id,
                options=RunOptions(
                    max_workers=max_workers,
                    heartbeat_timeout=self.settings.heartbeat_timeout,
                    search_attributes=self._has_search_attributes,
                ),
                source=label,
            ),
            id=job_id,
            task_queue=names.ORCHESTRATION_QUEUE,
            result_type=StageDone,
            # The records say whether a job is finished; Temporal says whether it is running.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=(
                start_attributes(job.type, label) if self._has_search_attributes else None
            ),
            static_summary=title(job.type, label, job.input.kind),
            static_details=static_details(job.id, label),
        )
        # Until the new run is opened the records say how the last one ended.
        await self._jobs.requeue(job_id, handle.first_execution_run_id or "")
        return await self._jobs.get(job_id)

    async def process_job(
        self,
        job_id: str,
        *,
        resume_from_checkpoint: bool = True,
        max_workers: int | None = None,
    ) -> JsonObject:
        """Start or join a job, wait for it, and return its final result.

        Raises:
            JobFailedError: it failed or was cancelled.
        """
        job = await self.start_job(
            job_id, resume_from_checkpoint=resume_from_checkpoint, max_workers=max_workers
        )
        if job.status.has_result and job.result is not None:
            return job.result
        return await self.wait(job_id)

    async def wait(self, job_id: str) -> JsonObject:
        """Wait for a started job and return its final result.

        Raises:
            JobFailedError: it failed or was cancelled.
        """
        handle: WorkflowHandle[object, StageDone] = (await self.temporal()).get_workflow_handle(
            job_id, result_type=StageDone
        )
        while True:
            try:
                await handle.result()
                break
            except WorkflowFailureError:
                break
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    break
                # The server is restarting: the job goes on when it is back, and so do we.
                await asyncio.sleep(0.5)
        return await self.result(job_id)

    async def result(self, job_id: str) -> JsonObject:
        """The final result of a finished job.

        Raises:
            JobFailedError: it failed or was cancelled.
            UsageError: it has not finished.
        """
        job = await self._jobs.get(job_id)
        if job.status.has_result and job.result is not None:
            return job.result
        if not job.status.finished:
            raise UsageError(
                f"The job {job_id} is {job.status.value}; `stope watch {job_id}` shows where it "
                "stands."
            )
        run = await self._jobs.last_run(job_id)
        message = (run.error_message if run else None) or f"The job {job_id} failed."
        raise JobFailedError(job_id, job.status, message)

    async def checkpoint(self, job_id: str) -> JsonObject | None:
        """The mirrored checkpoint of a job's newest run; None before it has one."""
        run = await self._jobs.last_run(job_id)
        return run.checkpoint if run else None

    async def job(self, job_id: str) -> Job:
        """One job, by its id or by the unambiguous beginning of it."""
        matches = await self._jobs.matching(job_id)
        if len(matches) > 1 and job_id not in matches:
            raise UsageError(f"{job_id!r} could be any of {', '.join(matches)}; write more of it.")
        return await self._jobs.get(matches[0] if len(matches) == 1 else job_id)

    async def jobs(self, limit: int = 100) -> list[Job]:
        """Jobs, the newest first."""
        return await self._jobs.newest(limit)

    async def runs(self, job_id: str) -> list[JobRun]:
        """All attempts at a job."""
        return await self._jobs.runs(job_id)

    async def stage_jobs(self, job_id: str) -> list[Job]:
        """The stage jobs that a pipeline was the first to start."""
        return await self._jobs.children(job_id)

    async def document(self, job_id: str) -> Document:
        """A finished job as one document: transcript, claims, verdicts, gaps.

        Raises:
            JobFailedError: it failed.
            UsageError: it has not finished.
            ArtifactError: a part of it is gone or damaged.
        """
        result = await self.result(job_id)
        job = await self._jobs.get(job_id)
        return await load_document(
            job,
            result,
            ArtifactStore(self.settings.artifact_store_url),
            await self._facts(job, result),
            await self._names.of(transcript_digest_of(result) or ""),
        )

    async def speakers(self, job_id: str) -> list[SpeakerShare]:
        """The speakers of a finished job's transcript, in the order in which they first speak.

        Raises:
            JobFailedError: it failed.
            UsageError: it has not finished, or nobody was told apart in it.
        """
        return speaker_shares(await self.document(job_id))

    async def rename_speakers(self, job_id: str, names: Mapping[str, str]) -> list[Path]:
        """Name speakers of a finished job's transcript, in every job that leads to it.

        Nothing is computed again. Exports that stand in the home are written anew with the names.

        Args:
            job_id: which.
            names: by speaker id, such as ``{"S1": "Ann Lee"}``; an empty name takes the old one
                away. All are given or none.

        Returns:
            The files that were written.

        Raises:
            UsageError: there is no such speaker, or the name cannot be one.
        """
        shares = await self.speakers(job_id)
        chosen = checked_names(names, [share.speaker for share in shares])
        digest = transcript_digest_of(await self.result(job_id)) or ""
        await self._names.rename(digest, chosen)
        return await self._write_exports_again(digest)

    async def _write_exports_again(self, transcript_digest: str) -> list[Path]:
        """Write the exports in the home that show a transcript, in the formats they have."""
        written: list[Path] = []
        for folder in await asyncio.to_thread(_folders_in, self.settings.exports):
            if not await self._jobs.matching(folder.name):
                continue
            job = await self._jobs.get(folder.name)
            if job.result is None or transcript_digest_of(job.result) != transcript_digest:
                continue
            fitting = formats_for(await self.document(job.id))
            formats = [name for name in fitting if (folder / FORMATS[name].file_name).is_file()]
            written += await self.export(job.id, folder, formats) if formats else []
        return written

    async def _facts(self, job: Job, result: JsonObject) -> RunFacts:
        """What the stages of a finished job took. A stage may be shared with another pipeline."""
        stages = [job]
        if job.type is JobType.PIPELINE:
            ids = _stage_job_ids(job, result)
            stages = [await self._jobs.get(name) for name in ids if await self._jobs.matching(name)]
        found = [stage_facts(stage, await self._jobs.runs(stage.id)) for stage in stages]
        return RunFacts(stages=tuple(item for item in found if item is not None))

    async def export(
        self,
        job_id: str,
        folder: Path,
        formats: Sequence[str] | None = None,
        *,
        embed_audio: bool | None = None,
    ) -> list[Path]:
        """Write a finished job as files, each of them whole or not at all.

        Args:
            job_id: which.
            folder: made when absent.
            formats: names in ``stope.report.exports.FORMATS``; default: all that fit the job.
            embed_audio: whether the report holds the recording; None: when it is small.

        Raises:
            InputError: the job has nothing to say in one of the formats, or the recording is to be
                embedded and is gone, changed or too large.
            UsageError: a format is unknown, or the folder cannot be written.
        """
        job = await self._jobs.get(job_id)
        document = await self.document(job_id)
        wanted = formats or formats_for(document)
        audio: str | None = None
        if "html" in wanted and job.input.kind is InputKind.RECORDING:
            audio = await asyncio.to_thread(
                recording_url, Path(job.input.path), job.input.digest, folder, embed_audio
            )
        return await asyncio.to_thread(write_exports, document, folder, wanted, audio=audio)

    async def cancel(self, job_id: str) -> None:
        """Ask a job to stop. Units in flight are committed; it can be processed again.

        Raises:
            UsageError: it does not run.
        """
        temporal = await self.temporal()
        run = await self._jobs.last_run(job_id)
        workflow_id = run.workflow_id if run else job_id
        if not await self._is_open(temporal, workflow_id):
            raise UsageError(f"The job {job_id} does not run, so there is nothing to cancel.")
        await temporal.get_workflow_handle(workflow_id).cancel()

    async def view(self, job_id: str) -> JobView:
        """Where a job stands: its stages, live progress, and what it is waiting for."""
        job = await self._jobs.get(job_id)
        run = await self._jobs.last_run(job_id)
        stages: list[StageView] = []
        if not job.status.finished:
            temporal = await self.temporal()
            for stage, workflow_id in _stage_workflows(job, run):
                stages.append(await _stage_view(temporal, stage, workflow_id))
        return JobView(
            job_id=job.id,
            type=job.type,
            status=job.status,
            stages=tuple(stages),
            error=run.error_message if run else None,
        )

    async def watch(self, job_id: str, interval: float = 0.5) -> AsyncIterator[JobView]:
        """Views of a job, until it has finished; the last one is of the finished job."""
        while True:
            try:
                view = await self.view(job_id)
            except RPCError:
                await asyncio.sleep(interval)
                continue
            yield view
            if view.status.finished:
                return
            await asyncio.sleep(interval)

    async def _let_close(self, temporal: Client, job_id: str) -> None:
        """Wait until the last run, finished in the records, is so for Temporal: it is not joined.

        One that no worker closes is ended; its result is recorded.
        """
        run = await self._jobs.last_run(job_id)
        if run is None or not run.status.finished:
            return
        deadline = asyncio.get_running_loop().time() + _CLOSE_SECONDS
        while await self._is_open(temporal, run.workflow_id, run.run_id):
            if asyncio.get_running_loop().time() > deadline:
                await temporal.get_workflow_handle(run.workflow_id, run_id=run.run_id).terminate(
                    "its run is finished, and no worker is there to close it"
                )
                return
            await asyncio.sleep(0.1)

    async def _is_open(self, temporal: Client, job_id: str, run_id: str | None = None) -> bool:
        try:
            description = await temporal.get_workflow_handle(job_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise ServerUnavailableError(f"Temporal does not answer: {error.message}") from error
        return description.status is WorkflowExecutionStatus.RUNNING

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


def _folders_in(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []


def _job_type(value: JobType | str) -> JobType:
    try:
        return JobType(value)
    except ValueError as error:
        known = ", ".join(item.value for item in JobType)
        raise UsageError(f"There is no job type {value!r}; there are {known}.") from error


def _stage_workflows(job: Job, run: JobRun | None) -> list[tuple[JobType, str]]:
    """The stages of a job and the ids of their workflows; a stage job may run as a child."""
    if job.type is not JobType.PIPELINE:
        return [(job.type, run.workflow_id if run else job.id)]
    stages = [JobType.MINE, JobType.FLAGSHIP]
    if job.input.kind is InputKind.RECORDING:
        stages.insert(0, JobType.TRANSCRIBE)
    return [(stage, f"{job.id}/{stage.value}") for stage in stages]


async def _stage_view(temporal: Client, stage: JobType, workflow_id: str) -> StageView:
    """One stage from Temporal alone: it can be seen with no worker alive."""
    try:
        description = await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return StageView(stage=stage, state="not_started")
        raise
    status = description.status
    state = status.name.lower() if status is not None else "unknown"
    for pending in description.raw_description.pending_activities:
        progress: StageProgress | None = None
        if pending.heartbeat_details.payloads:
            [progress] = await pydantic_data_converter.decode(
                pending.heartbeat_details.payloads, [StageProgress]
            )
        waiting: str | None = None
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
            waiting = pending.last_failure.message or "waiting for a worker"
        return StageView(
            stage=stage,
            state=state,
            progress=progress,
            attempt=pending.attempt,
            waiting=waiting,
        )
    return StageView(stage=stage, state=state)


def _stage_job_ids(pipeline: Job, result: JsonObject) -> list[str]:
    """The ids that the stages of a finished pipeline have, in their order.

    They are found as the pipeline found them, by what each stage worked on, so that a stage which
    another pipeline had done before is found too. A stage made with other prompts than this
    program's has another id and is not among the jobs any more.
    """
    parts = result.get("result")
    digests = parts if isinstance(parts, dict) else {}
    inputs: dict[JobType, JobInput | None] = {
        JobType.TRANSCRIBE: pipeline.input,
        JobType.MINE: _artifact(InputKind.TRANSCRIPT, digests.get("transcript_digest")),
        JobType.FLAGSHIP: _artifact(InputKind.CLAIMS, digests.get("claims_digest")),
    }
    if pipeline.input.kind is not InputKind.RECORDING:
        inputs[JobType.TRANSCRIBE] = None
    if pipeline.input.kind is InputKind.TEXT:
        inputs[JobType.MINE] = pipeline.input
    if pipeline.input.kind is InputKind.CLAIMS:
        inputs |= {JobType.MINE: None, JobType.FLAGSHIP: pipeline.input}
    return [
        job_id_of(stage, source.identity, pipeline.config, recipe_of(stage))
        for stage, source in inputs.items()
        if source is not None
    ]


def _artifact(kind: InputKind, digest: object) -> JobInput | None:
    return JobInput(kind=kind, digest=digest, path="") if isinstance(digest, str) else None
