"""Texts of models and people in columns: whatever they hold, every database takes them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, String, Text
from sqlalchemy.types import TypeDecorator


class AnyText(TypeDecorator[str]):
    """A text of any length. NUL, which PostgreSQL has not in text, becomes U+FFFD.

    So does half a surrogate pair, which is no character.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it is stored."""
        return None if value is None else _storable(value)


class CutText(TypeDecorator[str]):
    """A text like ``AnyText``, cut at a length."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it is stored."""
        return None if value is None else _storable(value[: self.length])


def _storable(value: Any) -> str:
    text = str(value).replace("\0", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
