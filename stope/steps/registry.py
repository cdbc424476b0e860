"""The step pipelines of a process: those built in, and a user's own by the names of their modules.

A module has its pipeline as ``PIPELINE``. It is imported by workers and by clients, so it must
import quickly, and what is optional only inside of the steps' functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator

from stope.errors import UsageError
from stope.settings import Settings
from stope.steps.definition import StepPipeline

BUILT_IN: tuple[str, ...] = ("stope.vision.pipeline",)
"""Modules of ours that have a ``PIPELINE``."""

ATTRIBUTE = "PIPELINE"


class Pipelines:
    """Pipelines by name.

    Raises:
        UsageError: two have the same name.
    """

    def __init__(self, pipelines: Iterable[StepPipeline]) -> None:
        self._by_name: dict[str, StepPipeline] = {}
        for pipeline in pipelines:
            if pipeline.name in self._by_name:
                raise UsageError(
                    f"There are two pipelines named {pipeline.name!r}; take one of them out of "
                    "STOPE_PIPELINES."
                )
            self._by_name[pipeline.name] = pipeline

    def __iter__(self) -> Iterator[StepPipeline]:
        return iter(self._by_name.values())

    def get(self, name: str) -> StepPipeline:
        """The pipeline of a name.

        Raises:
            UsageError: this process has none.
        """
        if name not in self._by_name:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise UsageError(
                f"There is no pipeline {name!r} here; known: {known}. Name its module in "
                "STOPE_PIPELINES, for the worker too."
            )
        return self._by_name[name]


def load_pipelines(settings: Settings) -> Pipelines:
    """The pipelines of this process.

    Raises:
        UsageError: a module cannot be imported, or has no pipeline.
    """
    own = [name.strip() for name in settings.pipelines.split(",") if name.strip()]
    return Pipelines(_loaded(name) for name in dict.fromkeys([*BUILT_IN, *own]))


def _loaded(module: str) -> StepPipeline:
    try:
        found = getattr(importlib.import_module(module), ATTRIBUTE, None)
    except ImportError as error:
        raise UsageError(
            f"The module {module!r}, named in STOPE_PIPELINES, cannot be imported: {error}."
        ) from error
    if not isinstance(found, StepPipeline):
        raise UsageError(
            f"The module {module!r}, named in STOPE_PIPELINES, has no {ATTRIBUTE} that is a "
            "StepPipeline."
        )
    return found
