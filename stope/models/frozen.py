"""The base of every domain type: immutable, closed to unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value whose fields are all declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
