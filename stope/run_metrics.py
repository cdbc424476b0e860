"""The metrics of a run with several attempts: all they did, each thing counted once."""

from __future__ import annotations

from collections.abc import Mapping

from stope.models.job import JsonObject

LOWEST = "llm_concurrency_lowest"
_DONE, _REUSED = "units_done", "units_reused"
_ADDED = (_DONE, "items_uploaded", "items_repaired", "bytes_uploaded")


def over_attempts(earlier: Mapping[str, object] | None, now: JsonObject) -> JsonObject:
    """What a run did: what its earlier attempts noted, and what this one did.

    Seconds and what was made are added up. A unit that an earlier attempt made is none that the
    run reused. What an attempt did that was killed is not known, and its units count as reused.
    """
    before = earlier or {}
    found = dict(now)
    for name, value in before.items():
        if name in _ADDED or name.endswith("_seconds"):
            found[name] = round(_number(value) + _number(now.get(name)), 3)
        elif name == LOWEST:
            found[name] = min(_number(value), _number(now.get(name, value)))
    if not _number(now.get(_DONE)) + _number(now.get(_REUSED)) and _REUSED in before:
        # It did not come to its units.
        found[_REUSED] = before[_REUSED]
    elif _REUSED in now:
        found[_REUSED] = max(0, _number(now[_REUSED]) - _number(before.get(_DONE)))
    return found


def _number(value: object) -> int | float:
    return value if isinstance(value, int | float) else 0
