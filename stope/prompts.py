"""Prompts: versioned files beside the stage that uses them, part of its units' keys; their data."""

from __future__ import annotations

from collections.abc import Iterable
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


def fenced(tag: str, lines: Iterable[str]) -> str:
    """Data for a prompt: lines between ``<tag>`` and ``</tag>``.

    Opening brackets in them are spelled another way, so that no line can end the data early; line
    breaks within a line become spaces.
    """
    inside = "\n".join(" ".join(line.split()).replace("<", "‹") for line in lines)  # noqa: RUF001  (meant)
    return f"<{tag}>\n{inside}\n</{tag}>"
