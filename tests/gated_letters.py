"""The example pipeline with a journal and gates, for tests that kill its worker.

Every step and every unit that begins is a line in the journal, and waits until its gate is open:
a file named ``open``, or one with the line's own name.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from examples.step_pipeline import PIPELINE as LETTERS
from stope.steps.context import StepContext
from stope.steps.definition import Step
from stope.units import Unit, UnitOutputs

FOLDER = "GATED_LETTERS_FOLDER"


class Gated:
    """A step's context whose units pass the gate."""

    def __init__(self, step: StepContext[Any]) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    async def run_units(
        self, units: Sequence[Unit[Any]], do: Any, *, output: Any
    ) -> UnitOutputs[Any]:
        async def gated(unit: Unit[Any]) -> Any:
            await _pass(unit.id)
            return await do(unit)

        return await self._step.run_units(units, gated, output=output)


async def _pass(line: str) -> None:
    folder = Path(os.environ[FOLDER])
    with (folder / "journal").open("a") as journal:
        journal.write(f"{line} {os.getpid()}\n")
    while not ((folder / line).exists() or (folder / "open").exists()):  # noqa: ASYNC110  (files of another process)
        await asyncio.sleep(0.02)


def _gated(step: Step) -> Step:
    async def do(context: StepContext[Any]) -> Mapping[str, object]:
        await _pass(step.name)
        gives = await step.do(Gated(context))  # type: ignore[arg-type]  # it passes the rest on
        await _pass(f"{step.name}.end")
        return gives

    return replace(step, do=do)


PIPELINE = replace(LETTERS, steps=tuple(_gated(step) for step in LETTERS.steps))
