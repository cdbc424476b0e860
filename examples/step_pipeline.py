"""A step pipeline in one file: the bytes of files become counts of their letters, and a chart.

Three steps: the first gives an array, the second loops over units, the third is optional. Kill its
worker wherever you like and start another: no step is done twice, and the array comes back as one.

    export STOPE_PIPELINES=examples.step_pipeline PYTHONPATH=.
    stope pipeline letters README.md --config '{"block": 1000}'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from stope import names
from stope.models.frozen import Frozen
from stope.steps.context import StepContext
from stope.steps.definition import Step, StepPipeline
from stope.steps.values import Picture
from stope.units import Unit

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class LettersConfig(Frozen):
    """Everything that decides the output."""

    block: int = 1000
    height: int = 40


class Counted(BaseModel):
    """The output of a unit: how often each letter is in a block, from a to z."""

    letters: list[int]


async def read(step: StepContext[LettersConfig]) -> Mapping[str, object]:
    """The bytes of all files, one after another."""
    parts = [await step.read(file) for file in step.files]
    step.metadata["bytes"] = sum(map(len, parts))
    return {"text": np.frombuffer(b"".join(parts), np.uint8)}


async def count(step: StepContext[LettersConfig]) -> Mapping[str, object]:
    """The letters of every block; each block is committed as soon as it is counted."""
    text = await step.need("text", np.ndarray)
    blocks = [text[at : at + step.config.block] for at in range(0, len(text), step.config.block)]

    async def do(unit: Unit[Bytes]) -> Counted:
        lower = unit.item | 0x20
        return Counted(letters=[int((lower == letter).sum()) for letter in range(97, 123)])

    done = await step.run_units(
        [step.unit(f"block_{at:04d}", block, at) for at, block in enumerate(blocks)],
        do,
        output=Counted,
    )
    totals = np.sum([block.letters for block in done.outputs.values()], axis=0)
    return {"totals": totals.tolist()}


async def draw(step: StepContext[LettersConfig]) -> Mapping[str, object]:
    """A bar for each letter, dark on white."""
    totals = np.array(await step.need("totals", list))
    heights = step.config.height * totals // max(1, totals.max())
    rows = np.arange(step.config.height)[::-1, None]
    bars = np.where(rows < heights, 40, 255).astype(np.uint8)
    return {"chart": Picture(np.repeat(bars, 8, axis=1))}


PIPELINE = StepPipeline(
    name="letters",
    version=1,
    config=LettersConfig,
    steps=(
        Step("read", read, gives={"text": np.ndarray}, config=()),
        Step(
            "count",
            count,
            needs=("text",),
            gives={"totals": list},
            config=("block",),
            queue=names.VISION_QUEUE,
        ),
        Step("draw", draw, needs=("totals",), gives={"chart": Picture}, required=False),
    ),
    outputs=("totals", "chart"),
)
