"""What an HTTP endpoint's answers mean: taken, refused for good, or to be sent again later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    StopeError,
)
from stope.models.delivery import ItemReceipt, KeptItems, Receipts
from stope.models.progress import shortened
from stope.models.upload import Item, Receipt
from stope.retry_after import LONGEST_WAIT, seconds_of
from stope.upload.delivery import idempotency_key

TAKEN = frozenset({200, 201, 202, 204})
MULTI_STATUS = 207
TOO_LARGE = 413
LATER = frozenset({408, 409, 425, 429})
"""Statuses below 500 that pass: it took too long; the same key is being worked on just now (IETF
draft ``idempotency-key-header``); too early; too many."""


_UNASKABLE = frozenset({400, 404, 405, 410, 422, 501})
_LONGEST_SAYING = 200
_BEFORE_A_PAGE = b"\xef\xbb\xbf \t\r\n"
_ADVICE = {
    401: "check that STOPE_UPLOAD_HMAC_KEY is the endpoint's key, and both clocks",
    403: "check that STOPE_UPLOAD_HMAC_KEY is the endpoint's key, and what it may do there",
    404: "check the address",
    405: "check the address: it takes no POST",
    410: "the endpoint is gone; name another one",
}

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class HttpAnswer:
    """An answer as it came: its body is whole, and small enough."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Later:
    """One item is to be sent again, after ``seconds`` if the endpoint says so."""

    reason: str
    seconds: float | None


def outcomes_of(
    answer: HttpAnswer, items: Sequence[Item], url: str
) -> list[Receipt | Later | StopeError]:
    """What became of each item of a delivery.

    Raises:
        DestinationUnavailableError: the whole delivery is to be sent again later.
        DestinationRefusedError: nothing of the kind will be taken there.
    """
    if answer.status in TAKEN or answer.status == MULTI_STATUS:
        said = _read(answer, Receipts, url)
        if said is None and answer.status == MULTI_STATUS:
            raise _unreadable(answer, url)
        found = {receipt.id: receipt for receipt in said.items} if said else {}
        return [_outcome(answer.status, found.get(item.id), item, url) for item in items]
    if answer.status == TOO_LARGE and len(items) == 1:
        return [
            ItemRefusedError(
                f"{items[0].id} is too large for {url} ({len(items[0].data)} bytes): it answers "
                "413; let it take more."
            )
        ]
    raise refusal(answer, url)


def digests_of(answer: HttpAnswer, url: str) -> dict[str, str | None] | None:
    """What an endpoint has under the ids it was asked about; None: it cannot be asked.

    Raises:
        DestinationUnavailableError: it is to be asked again later.
        DestinationRefusedError: it does not let us ask.
    """
    if answer.status in TAKEN:
        said = _read(answer, KeptItems, url)
        return {item.id: item.sha256 for item in said.items} if said else None
    if answer.status in _UNASKABLE:
        return None
    raise refusal(answer, url)


def refusal(answer: HttpAnswer, url: str) -> StopeError:
    """A status that is about the whole request, as an error of ours."""
    status = answer.status
    words = shortened(answer.body[:4000].decode(errors="replace"), _LONGEST_SAYING)
    said = f"({status}): {words}" if words and not words.startswith("<") else f"({status})"
    if status in LATER or status >= 500:
        return DestinationUnavailableError(
            f"{url} cannot take anything now {said}; the upload goes on when it can.",
            retry_after=seconds_of(answer.retry_after),
        )
    if 300 <= status < 400:
        where = shortened((answer.location or "somewhere else").partition("?")[0], _LONGEST_SAYING)
        return DestinationRefusedError(
            f"{url} sends us on to {where} ({status}), and nothing that is signed goes where "
            "nobody named; upload to that address if it is the right one."
        )
    advice = _ADVICE.get(status, "it has to answer as docs/uploads.md describes")
    return DestinationRefusedError(f"{url} refuses {said}; {advice}.")


def _outcome(
    status: int, said: ItemReceipt | None, item: Item, url: str
) -> Receipt | Later | StopeError:
    if said is None:
        if status in TAKEN:
            said = ItemReceipt(id=item.id, status=status)
        else:
            return Later(f"{url} answers {status} and says nothing of {item.id}", None)
    reason = shortened(said.reason or "it gives no reason", _LONGEST_SAYING)
    if 200 <= said.status < 300:
        return Receipt(
            item_id=item.id,
            digest=said.sha256 or item.digest,
            location=f"{url}#{item.id}",
            written=said.written,
            key=idempotency_key(item),
            status=said.status,
        )
    if said.status in LATER or said.status >= 500:
        wait = None if said.retry_after is None else min(said.retry_after, LONGEST_WAIT)
        return Later(f"{url} cannot take {item.id} now ({said.status}): {reason}", wait)
    return ItemRefusedError(f"{url} refuses {item.id} ({said.status}): {reason}")


def _read(answer: HttpAnswer, model: type[ModelT], url: str) -> ModelT | None:
    """The body as what it should be; None where it says nothing of items.

    Raises:
        DestinationRefusedError: it does, and cannot be understood; or it is a page.
    """
    try:
        body = json.loads(answer.body)
    except ValueError:
        if not answer.body.lstrip(_BEFORE_A_PAGE).startswith(b"<"):
            return None
        # A site that shows its front page for any path, or somebody's "please log in".
        raise DestinationRefusedError(
            f"{url} answers {answer.status} with a page for people, as what takes no uploads does; "
            "check the address, and whether something in between wants a login."
        ) from None
    if not isinstance(body, dict) or "items" not in body:
        return None
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _unreadable(answer, url) from error


def _unreadable(answer: HttpAnswer, url: str) -> StopeError:
    return DestinationRefusedError(
        f"{url} answers {answer.status}, and what it says of the items cannot be understood; it "
        "has to answer as docs/uploads.md describes."
    )
