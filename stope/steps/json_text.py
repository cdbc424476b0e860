"""JSON of any size, written and read so that other threads get their turn.

The encoder and the decoder of the standard library are one call each, during which nothing else of
the process runs: a value of many megabytes would hold the heartbeats up, in whatever thread it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from stope.identity import canonical_json

_PIECE = 1 << 16
"""Characters that one call of the encoder is for, about; a text or a number is never cut."""

_AT_ONCE = 256
_AT_A_TIME = 1 << 20
"""Bytes that are decoded in one call."""


def is_longer(value: object, characters: int) -> bool:
    """Whether the JSON of a plain value is surely longer; no more of it is looked at than that."""
    left, stack = characters, [iter((value,))]
    while stack:
        item = next(stack[-1], _END)
        if item is _END:
            stack.pop()
            continue
        if isinstance(item, dict):
            stack.append(iter([part for pair in islice(item.items(), left + 1) for part in pair]))
        elif isinstance(item, list):
            stack.append(iter(item))
        left -= _least(item)
        if left < 0:
            return True
    return False


def json_pieces(value: object) -> Iterator[str]:
    """The canonical JSON of a plain value, in pieces.

    Raises:
        ValueError: a float is NaN or infinite.
    """
    if not isinstance(value, dict | list) or not is_longer(value, _PIECE):
        yield canonical_json(value)
    elif isinstance(value, list):
        yield "["
        for at in range(0, len(value), _AT_ONCE):
            some = value[at : at + _AT_ONCE]
            yield "," if at else ""
            if is_longer(some, _PIECE):
                for number, item in enumerate(some):
                    yield "," if number else ""
                    yield from json_pieces(item)
            else:
                yield canonical_json(some)[1:-1]
        yield "]"
    else:
        yield "{"
        keys = sorted(value)
        for at in range(0, len(keys), _AT_ONCE):
            part = {key: value[key] for key in keys[at : at + _AT_ONCE]}
            yield "," if at else ""
            if is_longer(part, _PIECE):
                for number, (key, item) in enumerate(part.items()):
                    yield f"{',' if number else ''}{canonical_json(key)}:"
                    yield from json_pieces(item)
            else:
                yield canonical_json(part)[1:-1]
        yield "}"


def from_json(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    if len(data) <= _AT_A_TIME:
        return json.loads(data)
    # Whatever is called of ours in between lets others run.
    return json.loads(data, object_hook=_itself, parse_float=_as_float, parse_int=_as_int)


def _itself(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _as_float(text: str) -> float:
    return float(text)


def _as_int(text: str) -> int:
    return int(text)


_END = object()


def _least(item: object) -> int:
    """Characters that a value takes at least, without what is in it."""
    if isinstance(item, str):
        return len(item) + 2
    if isinstance(item, int) and not isinstance(item, bool):
        return max(1, item.bit_length() * 3 // 10)
    return 2 if isinstance(item, dict | list) else 1
