"""Prompts: versioned files beside the stage that uses them, part of its units' keys."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from stope.identity import digest_bytes


@cache
def load_prompt(package: str, name: str) -> str:
    """The text of ``<package>/prompts/<name>.md``."""
    return files(package).joinpath("prompts", f"{name}.md").read_text(encoding="utf-8").strip()


@cache
def prompt_digest(package: str, name: str) -> str:
    """The version of a prompt: the first 16 hex digits of its SHA-256."""
    return digest_bytes(load_prompt(package, name).encode())[:16]
