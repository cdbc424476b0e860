"""What an upload says to an HTTP endpoint, and what that answers.

Field by field in ``docs/schema/delivery.schema.json``, which is made from these models.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from stope.models.frozen import Frozen
from stope.models.job import JsonObject

DELIVERY_SCHEMA: Final = "stope.delivery/1"
QUESTION_SCHEMA: Final = "stope.question/1"

_DIGEST = r"^[0-9a-f]{64}$"


class DeliveryItem(Frozen):
    """One item of a delivery. Exactly one of ``record``, ``text`` and ``base64`` is there."""

    id: str = Field(description="where it goes: <collection>/<kind>/<name>, or <collection>/<file>")
    collection: str = Field(description="which result it belongs to: knowledge-… or claims-…")
    kind: str = Field(
        description="claims, evidence, people, organisations, jargon, concepts, transcript, "
        "publication (what the collection is), or report (a file)"
    )
    name: str = Field(description="the id within its kind: a record's id or a file's name")
    idempotency_key: str = Field(
        pattern=_DIGEST,
        description="SHA-256 of the canonical JSON of [id, sha256]: this content under this id",
    )
    sha256: str = Field(
        pattern=_DIGEST,
        description="of the content: a record's canonical JSON (keys sorted, no spaces, UTF-8), a "
        "text's UTF-8, or the bytes",
    )
    size: int = Field(ge=0, description="bytes of the content")
    content_type: str
    record: JsonObject | None = None
    text: str | None = None
    base64: str | None = None


class Delivery(Frozen):
    """The body of a POST to the endpoint."""

    schema_version: Literal["stope.delivery/1"] = DELIVERY_SCHEMA
    items: tuple[DeliveryItem, ...] = Field(min_length=1)


class _Answered(BaseModel):
    """Somebody else's words: what we do not know in them is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ItemReceipt(_Answered):
    """What an endpoint says to one item, in the way of HTTP."""

    id: str
    status: int = Field(
        ge=100,
        le=599,
        description="2xx: it is taken; 429, and 408, 409 or 425 with retry_after: to be sent again "
        "later, a few times; 5xx: it cannot be taken now; any other: refused for good",
    )
    written: bool = Field(default=True, description="false: the endpoint had this content before")
    sha256: str | None = Field(default=None, pattern=_DIGEST, description="of what it now has")
    reason: str | None = Field(default=None, description="why not, for people")
    retry_after: float | None = Field(default=None, ge=0, description="seconds to wait")


class Receipts(_Answered):
    """The body of the answer: needed with 207, welcome with any other status."""

    items: tuple[ItemReceipt, ...]


class Question(Frozen):
    """The body of a POST to ``digests`` below the endpoint: what stands under these ids?"""

    schema_version: Literal["stope.question/1"] = QUESTION_SCHEMA
    ids: tuple[str, ...] = Field(min_length=1)


class KeptItem(_Answered):
    """What an endpoint has under an id."""

    id: str
    sha256: str | None = Field(pattern=_DIGEST, description="of what it has; null: nothing")


class KeptItems(_Answered):
    """The answer to a question. An id that is left out has nothing."""

    items: tuple[KeptItem, ...]
