"""What a pipeline's author writes: its steps, each with what it needs and what it gives.

::

    PIPELINE = StepPipeline(
        name="example",
        version=1,
        config=ExampleConfig,
        steps=(
            Step("read", read, gives={"pixels": np.ndarray}),
            Step("count", count, needs=("pixels",), gives={"totals": list}),
        ),
    )
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stope import names
from stope.errors import UsageError
from stope.models.frozen import Frozen
from stope.models.steps import PipelineDefinition, StepDefinition
from stope.steps.codecs import codec_of

if TYPE_CHECKING:
    from stope.steps.context import StepContext

DoStep = Callable[["StepContext[Any]"], Awaitable[Mapping[str, object]]]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Step:
    """One step of a pipeline.

    Args:
        name: unlike any other's in the pipeline.
        do: does it; returns exactly what ``gives`` declares.
        needs: names of the context, given by earlier steps.
        gives: names of the context, each with the type of its value.
        queue: the task queue whose workers do it.
        required: whether the pipeline fails with it; else its failure is a named gap.
        config: the fields of the config that it depends on; None: all of them.
    """

    name: str
    do: DoStep
    needs: tuple[str, ...] = ()
    gives: Mapping[str, type] = field(default_factory=dict)
    queue: str = names.ORCHESTRATION_QUEUE
    required: bool = True
    config: tuple[str, ...] | None = None

    @property
    def definition(self) -> StepDefinition:
        """What workflows know of it."""
        return StepDefinition(
            name=self.name,
            queue=self.queue,
            required=self.required,
            needs=self.needs,
            gives=tuple(self.gives),
        )


@dataclass(frozen=True)
class StepPipeline:
    """A pipeline: ordered steps, and the model of its config.

    Args:
        name: lower-case letters, digits and ``_``, at most 40; the ids of its jobs begin with it.
        version: raised when what a step gives changes; then nothing old is read.
        config: everything that decides what it gives, beside the input; frozen.
        steps: in the order in which they run.
        outputs: names of the context that are its result; default: what the last step gives.

    Raises:
        UsageError: it cannot run as it is declared.
    """

    name: str
    version: int
    config: type[Frozen]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self._check_names()
        given: dict[str, Step] = {}
        later = {name for step in self.steps for name in step.gives}
        for step in self.steps:
            for need in step.needs:
                if need not in given:
                    raise self._wrong(
                        f"its step {step.name} needs {need!r}, which only a later step gives"
                        if need in later
                        else f"its step {step.name} needs {need!r}, which no step gives"
                    )
                if step.required and not given[need].required:
                    raise self._wrong(
                        f"its required step {step.name} needs {need!r} of the optional step "
                        f"{given[need].name}"
                    )
            for name, kind in step.gives.items():
                if name in given:
                    raise self._wrong(f"{name!r} is given by {given[name].name} and by {step.name}")
                if codec_of(kind) is None:
                    raise self._wrong(
                        f"its step {step.name} gives {name!r} as {kind.__name__}, for which no "
                        "codec is registered"
                    )
                given[name] = step
        for name in self.outputs or ():
            if name not in given:
                raise self._wrong(f"its output {name!r} is given by no step")

    def _check_names(self) -> None:
        if not self.steps:
            raise self._wrong("it has no steps")
        if self.version < 1:
            raise self._wrong(f"its version is {self.version}; it begins at 1")
        seen: set[str] = set()
        for name in (self.name, *(step.name for step in self.steps)):
            if not _NAME.fullmatch(name):
                raise self._wrong(
                    f"{name!r} is no name: use lower-case letters, digits and _, at most 40"
                )
        for step in self.steps:
            if step.name in seen:
                raise self._wrong(f"it has two steps named {step.name}")
            seen.add(step.name)
            if step.queue not in names.QUEUES:
                raise self._wrong(
                    f"its step {step.name} is on the queue {step.queue!r}; there are "
                    f"{', '.join(names.QUEUES)}"
                )
            for field_name in step.config or ():
                if field_name not in self.config.model_fields:
                    raise self._wrong(
                        f"its step {step.name} depends on {field_name!r}, which is no field of "
                        f"{self.config.__name__}"
                    )

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"The pipeline {self.name!r} cannot run: {what}.")

    @cached_property
    def definition(self) -> PipelineDefinition:
        """What workflows know of it."""
        last = tuple(self.steps[-1].gives)
        return PipelineDefinition(
            name=self.name,
            version=self.version,
            steps=tuple(step.definition for step in self.steps),
            outputs=last if self.outputs is None else self.outputs,
        )

    @cached_property
    def kinds(self) -> Mapping[str, type]:
        """The type of every name of the context."""
        return {name: kind for step in self.steps for name, kind in step.gives.items()}

    def step(self, name: str) -> Step:
        """The step of a name.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
