"""Step pipelines as jobs: created from a name, files and a config, then processed as any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from jobs.creation import JobCreation
from stope.errors import UsageError
from stope.identity import digest_of
from stope.models.frozen import Frozen
from stope.models.job import InputFile, InputKind, JobInput, JobType, JsonObject
from stope.steps.definition import StepPipeline
from stope.steps.identity import checked_run_guid
from stope.steps.registry import load_pipelines


class JobPipelines(JobCreation):
    """Creates jobs of step pipelines."""

    async def create_pipeline(
        self,
        name: str,
        inputs: Sequence[str | Path],
        config: Frozen | Mapping[str, object] | None = None,
        *,
        run_guid: str | None = None,
        strict_resume: bool | None = None,
        keep_checkpoint: bool | None = None,
        max_workers: int | None = None,
    ) -> str:
        """The id of the job for a request; the same request always gives the same id and run.

        Another version of the pipeline has jobs of its own.

        Args:
            name: of the pipeline.
            inputs: files, by path or URL, in order. They are only ever read.
            config: in the pipeline's own model, or what differs from its defaults.
            run_guid: of the run's folder; default: made from name, input and config. With one of
                its own the same request is another job.
            strict_resume: fail where what is kept of the run does not fit; default: start afresh.
            keep_checkpoint: leave the checkpoint and the scratch folder after a success, too.
            max_workers: units in flight, where the pipeline does not say.

        Raises:
            UsageError: there is no such pipeline, or the config or the run id cannot be used.
            InputError: an input is missing or unreadable.
            StorageUnavailableError: one is remote and cannot be reached.
        """
        await self.open()
        pipeline = load_pipelines(self.settings).get(name)
        wanted = self._config(
            {
                "pipeline": pipeline.name,
                "pipeline_config": _config_of(pipeline, config),
                "run_guid": None if run_guid is None else checked_run_guid(run_guid),
            }
        )
        source = await self._files(inputs)
        job = await self._created(
            JobType.STEPS,
            source,
            wanted,
            strict_resume=strict_resume,
            keep_checkpoint=keep_checkpoint,
            max_workers=max_workers,
        )
        if job.input != source:
            # The same content, and it was found there just now.
            await self._jobs.set_input(job.id, source)
        return job.id

    async def _files(self, inputs: Sequence[str | Path]) -> JobInput:
        given = [await self._given(str(one)) for one in inputs]
        files = tuple(InputFile(path=one.path, digest=one.digest) for one in given)
        return JobInput(
            kind=InputKind.FILES,
            digest=digest_of([file.digest for file in files]),
            path=files[0].path if files else "",
            files=files,
        )


def _config_of(pipeline: StepPipeline, given: Frozen | Mapping[str, object] | None) -> JsonObject:
    """A pipeline's config in its model's own form."""
    if isinstance(given, Frozen) and not isinstance(given, pipeline.config):
        raise UsageError(
            f"The config of the pipeline {pipeline.name} is a {pipeline.config.__name__}, not a "
            f"{type(given).__name__}."
        )
    values = given.model_dump() if isinstance(given, Frozen) else dict(given or {})
    try:
        return pipeline.config.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        raise UsageError(
            f"The config of the pipeline {pipeline.name} cannot be used: {error}"
        ) from error
