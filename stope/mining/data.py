"""Data in prompts: what was said stands between two tags, and cannot close them."""

from __future__ import annotations

from collections.abc import Iterable


def fenced(tag: str, lines: Iterable[str]) -> str:
    """Lines between ``<tag>`` and ``</tag>``.

    Opening brackets in them are spelled another way, so that no line can end the data early; line
    breaks within a line become spaces.
    """
    inside = "\n".join(" ".join(line.split()).replace("<", "‹") for line in lines)  # noqa: RUF001  (meant)
    return f"<{tag}>\n{inside}\n</{tag}>"
