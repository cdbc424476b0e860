"""Data preparation: jobs that make data sets of videos, and the data sets they made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from jobs.pipelines import JobPipelines
from stope.errors import InputError, UsageError
from stope.models.dataprep import DataPrepConfig, Dataset, DatasetSummary
from stope.models.job import JobType, JsonObject
from stope.vision.detectors import BUNDLED, STORED, check_detector
from stope.vision.folder import Author, write_dataset

PIPELINE = "dataprep"


class JobDataPrep(JobPipelines):
    """Makes data sets of videos."""

    async def create_dataprep(
        self,
        videos: Sequence[str | Path],
        config: DataPrepConfig | Mapping[str, object] | None = None,
        *,
        run_guid: str | None = None,
        strict_resume: bool | None = None,
        keep_checkpoint: bool | None = None,
    ) -> str:
        """The id of the job for a request; the same request always gives the same id.

        Args:
            videos: paths or URLs. They are read where they are, and never moved, changed or
                deleted.
            config: fields of ``DataPrepConfig``. A ``detector`` that is the path of an ONNX file
                is stored with the artifacts, so that every worker has it.
            run_guid: of the run's folder; default: it follows from the request.
            strict_resume: fail where a checkpoint does not fit; default: say so and start afresh.
            keep_checkpoint: also after full success.

        Raises:
            UsageError: a field of the config is unknown or has a value that cannot be used.
            InputError: a video is missing or cannot be read.
        """
        given = dict(config) if config is not None else {}
        detector = str(given.get("detector") or DataPrepConfig().detector)
        if detector not in BUNDLED and not detector.startswith(STORED):
            await self.open()
            await asyncio.to_thread(check_detector, detector)
            digest = await self._artifacts().put_file(Path(detector), "detector")
            given["detector"] = f"{STORED}{digest}"
        return await self.create_pipeline(
            PIPELINE,
            videos,
            read_dataprep(given),
            run_guid=run_guid,
            strict_resume=strict_resume,
            keep_checkpoint=keep_checkpoint,
        )

    async def dataset(self, job_id: str) -> Dataset:
        """The data set that a finished job made.

        Raises:
            UsageError: the job makes none.
            InputError: it has no result yet.
        """
        digest = str((await self._made(job_id))["dataset_digest"])
        return await self._artifacts().get_model(digest, Dataset)

    async def dataset_summary(self, job_id: str) -> DatasetSummary:
        """The same in numbers; see ``dataset``."""
        return DatasetSummary.model_validate((await self._made(job_id))["summary"])

    async def write_dataset(self, job_id: str, folder: Path) -> Dataset:
        """Write a finished data set as an image folder; what is there already is left alone.

        Where the same job wrote another one before, that becomes this one.

        Raises:
            UsageError: the job makes none, or the folder holds something else, or files that
                somebody has changed.
            InputError: it has no result yet.
        """
        dataset = await self.dataset(job_id)
        author = Author.of(await self.job(job_id))
        await write_dataset(dataset, folder, self._artifacts().get, author)
        return dataset

    async def _made(self, job_id: str) -> JsonObject:
        job = await self.job(job_id)
        if job.type is not JobType.STEPS or job.config.pipeline != PIPELINE:
            raise UsageError(f"The job {job.id} makes no data set; `stope dataprep` starts one.")
        result = (job.result or {}).get("result")
        if not job.status.has_result or not isinstance(result, dict):
            raise InputError(f"The job {job.id} has no data set yet; wait for it.")
        return result


def read_dataprep(given: Mapping[str, object]) -> DataPrepConfig:
    """The config of a request.

    Raises:
        UsageError: a field is unknown, or has a value that cannot be used.
    """
    try:
        return DataPrepConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(DataPrepConfig.model_fields)
        raise UsageError(
            f"The field {name!r} of a data preparation cannot be used: {first['msg']}. There are "
            f"{known}."
        ) from error
