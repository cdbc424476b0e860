"""Whether what a model said fits the type that was asked for."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stope.llm.extract import json_objects

Answer = TypeVar("Answer", bound=BaseModel)

_NO_SUCH_SHAPE = ("missing", "extra_forbidden", "json_invalid", "json_type", "enum")
"""Misfits that a server which enforces the schema cannot give, beside those that end in ``_type``.
Others, such as a text that is too short, it can."""


def parsed(content: str, answer_type: type[Answer]) -> Answer:
    """The answer in what a model said: all of it, or the first JSON object in it that fits.

    Raises:
        ValidationError: none does; it describes the first object, or the whole where there is none.
    """
    try:
        return answer_type.model_validate_json(content)
    except ValidationError as error:
        misfit = error
    if misfit.errors(include_url=False)[0]["type"] != "json_invalid":
        raise misfit
    first: ValidationError | None = None
    for text in json_objects(content):
        try:
            return answer_type.model_validate_json(text)
        except ValidationError as error:
            first = first or error
    raise first or misfit


def has_another_shape(error: ValidationError) -> bool:
    """Whether it misfits in a way that a server which enforces the schema cannot."""
    kinds = {item["type"] for item in error.errors(include_input=False, include_url=False)}
    return any(kind in _NO_SUCH_SHAPE or kind.endswith("_type") for kind in kinds)


def describe_misfit(error: ValidationError) -> str:
    """The first three misfits of an answer, without its content."""
    parts = [
        f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)[:3]
    ]
    return "; ".join(parts)
