"""The dialect of OpenAI's protocol that a server understands, found out by asking it.

A request is put the best way first: a JSON Schema that the server enforces. A server that refuses
it, or takes it and answers as if it had not read it, is asked in JSON mode with the schema among
the instructions, and one without JSON mode by the instructions alone. Reasoning models refuse
``max_tokens`` and ``temperature``. Each step leaves one thing out for good, so that they come to an
end.
"""

from __future__ import annotations

import re
from enum import StrEnum

from stope.identity import canonical_json
from stope.llm.chat import ChatRequest
from stope.models.frozen import Frozen
from stope.models.job import JsonObject

REASONING_TOKENS = 8192
"""A reasoning model's limit counts what it thinks, too."""

REFUSALS = (400, 422, 501)
"""Statuses by which servers say that they do not know a field of the request."""

_FORMAT = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|structured.?output|guided|grammar",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|instead|not (?:permitted|allowed)|extra|deprecated"
    r"|only the default",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"max_tokens|max_completion_tokens", re.IGNORECASE)
_TEMPERATURE = re.compile(r"temperature", re.IGNORECASE)


class Mode(StrEnum):
    """How the schema of an answer is asked for, the best way first."""

    SCHEMA = "json_schema"
    JSON = "json_object"
    TEXT = "instructions"


_NEXT = {Mode.SCHEMA: Mode.JSON, Mode.JSON: Mode.TEXT}


class Dialect(Frozen):
    """How one model on one server is asked."""

    mode: Mode = Mode.SCHEMA
    limit: str = "max_tokens"
    temperature: bool = True

    def arguments(self, request: ChatRequest) -> JsonObject:
        """The request's fields, but for the model's name."""
        messages = [message.model_dump() for message in request.messages]
        found: JsonObject = {"messages": messages}
        if self.limit == "max_tokens":
            found["max_tokens"] = request.max_tokens
        else:
            found[self.limit] = request.max_tokens + REASONING_TOKENS
        if self.temperature:
            found["temperature"] = request.temperature
        if self.mode is Mode.SCHEMA:
            found["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": request.schema_name,
                    "schema": request.answer_schema,
                    "strict": True,
                },
            }
            return found
        rule = (
            "Answer with one JSON object and nothing else, no prose and no code fence. It must "
            f"fit this JSON Schema:\n{canonical_json(request.answer_schema)}"
        )
        if messages and messages[0]["role"] == "system":
            messages[0]["content"] += f"\n\n{rule}"
        else:
            messages.insert(0, {"role": "system", "content": rule})
        if self.mode is Mode.JSON:
            found["response_format"] = {"type": "json_object"}
        return found

    def after_refusal(self, said: str) -> Dialect | None:
        """What is left to try after a refusal in these words; None if it is for another reason."""
        if _FORMAT.search(said) and self.mode in _NEXT:
            return self.model_copy(update={"mode": _NEXT[self.mode]})
        if not _UNKNOWN.search(said):
            return None
        if self.limit == "max_tokens" and _LIMIT.search(said):
            return self.model_copy(update={"limit": "max_completion_tokens"})
        if self.temperature and _TEMPERATURE.search(said):
            return self.model_copy(update={"temperature": False})
        return None

    def after_misfit(self) -> Dialect | None:
        """What is left to try when the server takes the schema and answers in another shape.

        In JSON mode nothing is: there a misfit is the model's, not the server's.
        """
        return self.model_copy(update={"mode": Mode.JSON}) if self.mode is Mode.SCHEMA else None
