"""The search attributes of our workflows: typed keys, and the values they start with.

A workflow sets them only if its request says that the server knows them: a value under an unknown
name would fail its workflow tasks.
"""

from __future__ import annotations

from typing import Any

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from stope.models.job import JobType

JOB_TYPE = SearchAttributeKey.for_keyword("StopeJobType")
STAGE = SearchAttributeKey.for_keyword("StopeStage")
SOURCE = SearchAttributeKey.for_keyword("StopeSource")
PROGRESS = SearchAttributeKey.for_int("StopeProgress")

QUEUED = "queued"
"""The stage of a workflow that no worker has taken on."""


def start_attributes(job_type: JobType, label: str) -> TypedSearchAttributes:
    """What a workflow is found by before its first task."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(JOB_TYPE, job_type.value),
            SearchAttributePair(STAGE, QUEUED),
            SearchAttributePair(SOURCE, label),
            SearchAttributePair(PROGRESS, 0),
        ]
    )


def changes(stage: str | None, progress: int | None) -> list[SearchAttributeUpdate[Any]]:
    """What to upsert; None stays as it is. ``progress`` is in percent."""
    found: list[SearchAttributeUpdate[Any]] = []
    if stage is not None:
        found.append(STAGE.value_set(stage))
    if progress is not None:
        found.append(PROGRESS.value_set(progress))
    return found
