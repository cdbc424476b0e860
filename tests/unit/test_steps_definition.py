"""A pipeline that cannot run is refused when it is declared, with what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from stope import names
from stope.errors import UsageError
from stope.models.frozen import Frozen
from stope.models.job import JobType
from stope.models.route import EPISODE, STAGES
from stope.settings import Settings
from stope.steps.context import StepContext
from stope.steps.definition import Step, StepPipeline
from stope.steps.registry import Pipelines, load_pipelines


class Config(Frozen):
    width: int = 8


async def nothing(_step: StepContext[Any]) -> Mapping[str, object]:
    return {}


def pipeline(*steps: Step, name: str = "some", version: int = 1, **more: Any) -> StepPipeline:
    return StepPipeline(name=name, version=version, config=Config, steps=steps, **more)


READ = Step("read", nothing, gives={"pixels": np.ndarray})


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ((), "has no steps"),
        ((READ, Step("read", nothing)), "two steps named read"),
        ((READ, Step("Count", nothing)), "'Count' is no name"),
        ((READ, Step("count", nothing, needs=("pixel",))), "'pixel', which no step gives"),
        ((Step("count", nothing, needs=("pixels",)), READ), "which only a later step gives"),
        (
            (Step("loop", nothing, needs=("out",), gives={"out": int}),),
            "'out', which only a later step gives",
        ),
        (
            (READ, Step("again", nothing, gives={"pixels": np.ndarray})),
            "'pixels' is given by read and by again",
        ),
        ((Step("read", nothing, gives={"pixels": object}),), "no codec"),
        ((Step("read", nothing, queue="gpu"),), "on the queue 'gpu'"),
        ((Step("read", nothing, config=("height",)),), "'height', which is no field of Config"),
        (
            (
                Step("maybe", nothing, gives={"mask": np.ndarray}, required=False),
                Step("crop", nothing, needs=("mask",)),
            ),
            "required step crop needs 'mask' of the optional step maybe",
        ),
    ],
)
def test_what_cannot_run_is_said(steps: tuple[Step, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pipeline(*steps)


def test_a_name_that_ids_cannot_begin_with_is_refused() -> None:
    with pytest.raises(UsageError, match="is no name"):
        pipeline(READ, name="Data-Prep")


def test_a_version_begins_at_one() -> None:
    with pytest.raises(UsageError, match="begins at 1"):
        pipeline(READ, version=0)


def test_an_output_that_nothing_gives_is_refused() -> None:
    with pytest.raises(UsageError, match="output 'chart' is given by no step"):
        pipeline(READ, outputs=("chart",))


def test_the_result_is_what_the_last_step_gives_unless_it_says_so() -> None:
    last = Step("count", nothing, needs=("pixels",), gives={"totals": list})
    assert pipeline(READ, last).definition.outputs == ("totals",)
    assert pipeline(READ, last, outputs=("pixels",)).definition.outputs == ("pixels",)


def test_what_workflows_know_is_names_only_and_tells_declarations_apart() -> None:
    there = pipeline(READ, Step("count", nothing, needs=("pixels",), queue=names.VISION_QUEUE))
    elsewhere = pipeline(READ, Step("count", nothing, needs=("pixels",)))
    body = there.definition.model_dump(mode="json")
    assert [step["name"] for step in body["steps"]] == ["read", "count"]
    assert body["steps"][0]["gives"] == ["pixels"]
    assert there.definition.fingerprint != elsewhere.definition.fingerprint
    assert there.definition.fingerprint == pipeline(*there.steps).definition.fingerprint


def test_the_episode_is_declared_like_any_pipeline() -> None:
    assert [step.name for step in EPISODE.steps] == [stage.value for stage in STAGES]
    for step, after in zip(EPISODE.steps, EPISODE.steps[1:], strict=False):
        assert step.workflow == names.WORKFLOW_OF_TYPE[step.name]
        assert after.needs == step.gives
    assert EPISODE.step(JobType.UPLOAD.value).gives == ()


def test_a_pipeline_is_found_by_its_module(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path, pipelines="examples.step_pipeline")
    assert load_pipelines(settings).get("letters").version == 1


@pytest.mark.parametrize(
    ("module", "sentence"),
    [("no_such_module", "cannot be imported"), ("tests.waiting", "has no PIPELINE")],
)
def test_a_module_without_one_is_named(tmp_path: Any, module: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_pipelines(Settings(home=tmp_path, pipelines=module))


def test_an_unknown_pipeline_says_which_there_are() -> None:
    known = Pipelines([pipeline(READ)])
    with pytest.raises(UsageError, match="known: some"):
        known.get("other")
    with pytest.raises(UsageError, match="two pipelines named 'some'"):
        Pipelines([pipeline(READ), pipeline(READ)])
