"""What the scripted language model says: for each request always the same.

It takes every sentence that does not ask for a claim, rewrites nothing, and finds no names; it
scores claims by their digest, calls every pair the same, splits nothing, and sums up in the claims'
own words.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from stope.flagship.exam import MATTERS

_SENTENCE = re.compile(r"^(l\d+): (.*)$", re.MULTILINE)
_MARKED = re.compile(r"^s(\d+)\*: (?:\w+: )?(.*)$", re.MULTILINE)
_LINE = re.compile(r"^([a-z]?\d+): (.*)$", re.MULTILINE)
FLAGSHIP = ("judge", "exam", "merge", "split", "summary", "themes")
"""Kinds of requests of the flagship; every other one is ``mine``."""


def schema_of(body: dict[str, Any]) -> str:
    """The name of the schema that is asked for."""
    return str(body["response_format"]["json_schema"]["name"])


def kind_of(body: dict[str, Any]) -> str:
    """Which part of the work asks."""
    schema = schema_of(body)
    return schema if schema in FLAGSHIP else "mine"


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """The whole reply to a request, as OpenAI's protocol has it.

    Raises:
        AssertionError: nothing is scripted for its schema.
    """
    text, kind = body["messages"][-1]["content"], kind_of(body)
    content = _evaluated(kind, text) if kind in FLAGSHIP else _mined(schema_of(body), text)
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": json.dumps(content)},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
    }


def _mined(schema: str, text: str) -> dict[str, Any]:
    if schema == "sentence_kinds":
        return {
            name: "question" if sentence.endswith("?") else "factual"
            for name, sentence in _SENTENCE.findall(text)
        }
    if schema == "rewritings":
        return {f"s{number}": sentence for number, sentence in _MARKED.findall(text)}
    if schema == "named_things":
        return {"people": [], "organisations": [], "terms": [], "concepts": []}
    raise AssertionError(f"nothing is scripted for {schema}")


def _evaluated(kind: str, text: str) -> dict[str, Any]:
    lines = dict(_LINE.findall(text))
    if kind == "exam":
        return {name: "222" if claim in MATTERS else "000" for name, claim in lines.items()}
    if kind == "judge":
        return {name: _digits(claim) for name, claim in lines.items()}
    if kind == "merge":
        return dict.fromkeys(lines, "same")
    if kind == "split":
        return {name: [] for name in lines}
    if kind == "summary":
        claims = list(lines.values())
        return {"short": claims[0], "long": claims[:3]}
    return {name: words.split(",")[0] for name, words in lines.items()}


def _digits(claim: str) -> str:
    score = hashlib.sha256(claim.encode()).digest()
    return "".join(str(byte % 3) for byte in score[:3])
