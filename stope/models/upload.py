"""What an upload publishes, and what a destination says to it."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field

from stope.identity import digest_bytes
from stope.models.frozen import Frozen

ITEMS_VERSION = 1
"""Part of an upload job's id: raise it when ``stope.upload.items`` would make other items."""

ITEM_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
"""Names divided by slashes. None begins with a dot, so that none leads out of a folder."""

LONGEST_ID = 160


class ItemFacts(Frozen):
    """An item without its bytes: what plans and indexes say of it."""

    id: str = Field(pattern=ITEM_ID, max_length=LONGEST_ID)
    content_type: str
    size: int = Field(ge=0, description="bytes")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes")

    @property
    def name(self) -> str:
        """The id within its collection: what units, gaps and checkpoints call it."""
        return _name_of(self.id)


class Item(Frozen):
    """One thing to publish: where it goes below the destination, what it is, and its bytes."""

    id: str = Field(pattern=ITEM_ID, max_length=LONGEST_ID)
    content_type: str
    data: bytes

    @property
    def name(self) -> str:
        """The id within its collection: what units, gaps and checkpoints call it."""
        return _name_of(self.id)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return digest_bytes(self.data)

    @property
    def facts(self) -> ItemFacts:
        """The item without its bytes."""
        return ItemFacts(
            id=self.id, content_type=self.content_type, size=len(self.data), digest=self.digest
        )


def _name_of(item_id: str) -> str:
    return item_id.partition("/")[2] or item_id


class UploadPlan(Frozen):
    """The items of an upload, in their order."""

    items: tuple[ItemFacts, ...]


class Receipt(Frozen):
    """What a destination says to an item that it has.

    ``written`` is False where the destination had these very bytes before.
    """

    item_id: str
    digest: str = Field(description="SHA-256 of the bytes it was given")
    location: str = Field(description="where it is, for people")
    written: bool = True
    key: str | None = Field(default=None, description="the idempotency key it was sent under")
    status: int | None = Field(default=None, description="the HTTP status it was given")
