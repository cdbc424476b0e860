"""The search attributes of our workflows: typed keys, and the values they start with.

A workflow sets them only if its request says that the server knows them: a value under an unknown
name would fail its workflow tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

JOB_TYPE = SearchAttributeKey.for_keyword("StopeJobType")
STAGE = SearchAttributeKey.for_keyword("StopeStage")
SOURCE = SearchAttributeKey.for_keyword("StopeSource")
PROGRESS = SearchAttributeKey.for_int("StopeProgress")
GAPS = SearchAttributeKey.for_int("StopeGaps")
COST = SearchAttributeKey.for_float("StopeCost")

CHANGING: tuple[SearchAttributeKey[Any], ...] = (STAGE, PROGRESS, GAPS, COST)
"""Those that a workflow sets while it runs."""

QUEUED = "queued"
"""The stage of a workflow that no worker has taken on."""


def start_attributes(kind: str, label: str, *, counted: bool = True) -> TypedSearchAttributes:
    """What a workflow is found by before its first task.

    ``kind``: a type of job, or the name of a step pipeline.
    ``counted``: with its gaps, which says that the server knows those for gaps and cost as well. A
    cost is not set before it is known.
    """
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(JOB_TYPE, str(kind)),
        SearchAttributePair(STAGE, QUEUED),
        SearchAttributePair(SOURCE, label),
        SearchAttributePair(PROGRESS, 0),
    ]
    return TypedSearchAttributes([*pairs, SearchAttributePair(GAPS, 0)] if counted else pairs)


def changes(
    shown: Mapping[str, object], wanted: Mapping[str, object]
) -> list[SearchAttributeUpdate[Any]]:
    """What to upsert, so that the attributes which are shown become those that are wanted.

    Both are by name; None is an attribute without a value.
    """
    return [
        key.value_unset() if wanted[key.name] is None else key.value_set(wanted[key.name])
        for key in CHANGING
        if key.name in wanted and wanted[key.name] != shown.get(key.name)
    ]
