"""Finished jobs as documents: speakers with their names, exports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.session import JobSession
from stope.errors import InputError, StorageUnavailableError, UsageError
from stope.models.job import InputKind, Job, JobType, JsonObject, job_id_of
from stope.models.route import stage_inputs
from stope.recipes import recipe_of
from stope.report.document import Document
from stope.report.exports import FORMATS, formats_for, write_exports
from stope.report.facts import RunFacts, stage_facts
from stope.report.load import load_document
from stope.report.recording import recording_url, remote_recording_url
from stope.report.speakers import (
    SpeakerShare,
    checked_names,
    speaker_shares,
    transcript_digest_of,
)
from stope.sources.copies import can_be_played, input_source
from stope.sources.location import is_remote


class JobDocuments(JobSession):
    """Reads what finished jobs found, and writes it as files."""

    async def document(self, job_id: str) -> Document:
        """A finished job as one document: transcript, claims, verdicts, gaps.

        Raises:
            JobFailedError: it failed.
            UsageError: it has not finished, or makes none.
            ArtifactError: a part of it is gone or damaged.
        """
        job = await self._jobs.get(job_id)
        if job.type is JobType.STEPS:
            raise UsageError(
                f"The job {job.id} is a run of the step pipeline {job.kind} and makes no document; "
                f"`stope result {job.id}` shows what it gave."
            )
        result = await self.result(job_id)
        return await load_document(
            job,
            result,
            self._artifacts(),
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
            audio = await self._audio(job, folder, embed_audio)
        return await asyncio.to_thread(write_exports, document, folder, wanted, audio=audio)

    async def _audio(self, job: Job, folder: Path, embed: bool | None) -> str | None:
        """What a report is told about a job's recording."""
        given = job.input
        if not is_remote(given.path):
            return await asyncio.to_thread(
                recording_url, Path(given.path), given.digest, folder, embed
            )
        try:
            source = await input_source(given, self._artifacts())
        except (InputError, StorageUnavailableError):
            if embed:
                raise
            return None
        with source:
            return await asyncio.to_thread(
                remote_recording_url, source, given.digest, embed, link=can_be_played(source)
            )


def _folders_in(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []


def _stage_job_ids(pipeline: Job, result: JsonObject) -> list[str]:
    """The ids that the stages of a finished pipeline have, in their order.

    They are found as the pipeline found them, by what each stage worked on, so that a stage which
    another pipeline had done before is found too. A stage made with other prompts than this
    program's has another id and is not among the jobs any more.
    """
    parts = result.get("result")
    return [
        job_id_of(stage, source.identity, pipeline.config, recipe_of(stage))
        for stage, source in stage_inputs(
            pipeline, parts if isinstance(parts, dict) else {}, uri=lambda digest: digest
        )
    ]
