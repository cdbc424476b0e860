"""The JSON in what a model says, which may have prose, thoughts or a code fence around it."""

from __future__ import annotations

import json
from collections.abc import Iterator

_THOUGHT_ENDS = "</think>"
_MOST_OBJECTS = 50
"""An answer that opens more braces than this is no answer."""


def json_objects(text: str) -> Iterator[str]:
    """The JSON objects that stand in a text, in order, none within another.

    What a reasoning model thinks aloud before its answer is passed over.
    """
    decoder = json.JSONDecoder()
    place = text.rfind(_THOUGHT_ENDS) + 1
    for _ in range(_MOST_OBJECTS):
        place = text.find("{", place)
        if place < 0:
            return
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        yield text[place:end]
        place = end
