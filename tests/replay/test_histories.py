"""Histories of released workflows still replay; a history of another program does not.

``histories/*.json`` were exported from real runs; those that end in ``-v1`` were written before
workflows took reports of progress and set search attributes, and stand for jobs that were open
then. The flagship stage of those with a plain name lost its worker in the middle; the others were
paused by hand and at a limit, chained, tried again for their gaps, or made afresh from a stage on
(``tests/workflows/lab.py`` made them). Those of step pipelines are of
``tests/workflows/scripted_steps.py``. A change of workflow code that breaks one of them would
strand the jobs of people who upgrade: version it with ``workflow.patched`` instead.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from stope import names
from worker import WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
JOBS = [path for path in HISTORIES if path.stem != "gc"]


def _history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def _replayer() -> Replayer:
    return Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)


def test_every_type_of_job_has_a_committed_history() -> None:
    kinds = {
        json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"][
            "workflowType"
        ]["name"]
        for path in HISTORIES
    }
    assert kinds >= set(names.WORKFLOW_OF_TYPE.values())


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_attributes_are_set_only_by_runs_that_were_asked_to(path: Path) -> None:
    kinds = {event.event_type for event in _history(path).events}
    asked = not path.stem.endswith("-v1")
    assert (EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES in kinds) == asked
    if not asked:
        assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED not in kinds


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_committed_history_replays(path: Path) -> None:
    await _replayer().replay_workflow(_history(path))


async def test_canary_a_history_with_another_first_activity_must_fail() -> None:
    [path] = [path for path in HISTORIES if path.stem == "mine"]
    body = path.read_text()
    assert "open_run" in body
    changed = WorkflowHistory.from_json("canary", body.replace("open_run", "open_the_run"))
    with pytest.raises(NondeterminismError):
        await _replayer().replay_workflow(changed)


def test_histories_carry_references_not_content() -> None:
    for path in HISTORIES:
        for event in _history(path).events:
            assert event.ByteSize() < 4_000
            assert b"heat pump" not in event.SerializeToString()
