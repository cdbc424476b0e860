"""The labelled sentences that come with the program."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from stope.identity import digest_bytes
from stope.models.frozen import Frozen
from stope.models.sentence import SentenceKind


class Example(Frozen):
    """A sentence, and what it does."""

    text: str
    kind: SentenceKind


@cache
def packaged_examples() -> tuple[Example, ...]:
    """All of ``examples.jsonl``."""
    text = _file().decode()
    return tuple(Example.model_validate_json(line) for line in text.splitlines())


@cache
def examples_digest() -> str:
    """Their version: the first 16 hex digits of the file's SHA-256."""
    return digest_bytes(_file())[:16]


def _file() -> bytes:
    return files("stope.mining.selection").joinpath("examples.jsonl").read_bytes()
