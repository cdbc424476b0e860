"""What a caller's config says: what decides the output, and how it is to be worked on."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from stope.errors import UsageError
from stope.models.frozen import Frozen
from stope.models.job import JobConfig


class Asked(Frozen):
    """The fields of a config that are no part of a job's identity."""

    file_path: str | None = None
    max_workers: int | None = Field(default=None, ge=1)
    enable_parallel_processing: bool = True

    @property
    def workers(self) -> int | None:
        """Calls in flight; None: as many as fit."""
        return self.max_workers if self.enable_parallel_processing else 1


def read_config(
    config: JobConfig | Mapping[str, object] | None,
) -> tuple[dict[str, object], Asked]:
    """The fields of ``JobConfig`` that are given, and the others.

    Raises:
        UsageError: there is an unknown field, or one with a value that it cannot have.
    """
    if isinstance(config, JobConfig):
        return config.model_dump(), Asked()
    given = dict(config or {})
    unknown = set(given) - set(JobConfig.model_fields) - set(Asked.model_fields)
    if unknown:
        known = (*JobConfig.model_fields, *Asked.model_fields)
        raise UsageError(
            f"The config has the unknown field {min(unknown)!r}; known are {', '.join(known)}."
        )
    beside = {
        name: str(value) if name == "file_path" else value
        for name, value in given.items()
        if name in Asked.model_fields and value is not None
    }
    try:
        asked = Asked.model_validate(beside)
    except ValidationError as error:
        raise UsageError(f"The config cannot be used: {error}") from error
    wanted = {name: value for name, value in given.items() if name in JobConfig.model_fields}
    return wanted, asked
