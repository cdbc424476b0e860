"""JSON Schemas of answers, in the two dialects that servers ask for."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel

from stope.models.job import JsonObject


def answer_schema(model: type[BaseModel], *, complete: bool) -> JsonObject:
    """The JSON Schema of an answer type.

    Args:
        model: the answer's type; unknown fields are forbidden in it.
        complete: OpenAI's strict mode wants every field required (an optional one may be null).
            Otherwise optional fields may be left out, which saves tokens.
    """
    schema = model.model_json_schema()
    return completed(schema) if complete else schema


def completed(schema: JsonObject) -> JsonObject:
    """A schema whose objects require all their fields; one that does already stays as it is."""
    return cast("JsonObject", _completed(schema))


def _completed(node: object) -> object:
    if isinstance(node, list):
        return [_completed(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: _completed(value) for name, value in node.items() if name != "default"}
    properties = found.get("properties")
    if isinstance(properties, dict):
        found["required"] = list(properties)
        found["additionalProperties"] = False
    return found
