"""What an HTTP endpoint's answers mean: taken, refused for good, or to be sent again later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from stope.errors import (
    DestinationRateLimitedError,
    DestinationRefusedError,
    DestinationUnavailableError,
    ItemRefusedError,
    PutOffError,
    StopeError,
)
from stope.models.delivery import ItemReceipt, KeptItems, Receipts
from stope.models.progress import shortened
from stope.models.upload import Item, Receipt
from stope.retry_after import LONGEST_WAIT, seconds_of
from stope.upload.delivery import idempotency_key
from stope.upload.destination import GOES_ON
from stope.upload.signing import SCHEMA

TAKEN = frozenset({200, 201, 202, 204})
MULTI_STATUS = 207
TOO_LARGE = 413

_TOO_MANY = 429
_CONFLICT = 409
_MAY_PASS = frozenset({408, _CONFLICT, 425})
"""Statuses that pass where the endpoint says when: it took too long; the same key is being worked
on just now (IETF draft ``idempotency-key-header``); too early."""

_OF_THE_PLACE = frozenset({401, 402, 403, 404, 405, 407, 410})
"""Refusals that no other content would change. Any other 4xx is about what was sent."""

_UNASKABLE = frozenset({400, 404, 405, 410, 422, 501})
_LONGEST_SAYING = 200
_BEFORE_A_PAGE = b"\xef\xbb\xbf \t\r\n"
_CHECK_KEY = (
    "check that STOPE_UPLOAD_HMAC_KEY is the endpoint's key, that it knows itself by this URL"
)
_ADVICE = {
    401: f"{_CHECK_KEY}, that it checks {SCHEMA} signatures as docs/uploads.md describes, and "
    "both clocks",
    403: f"{_CHECK_KEY}, and what it lets us do there",
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
    content_type: str = ""


def outcomes_of(answer: HttpAnswer, items: Sequence[Item], url: str) -> list[Receipt | StopeError]:
    """What became of each item of a delivery.

    Raises:
        DestinationRateLimitedError: the endpoint asks for fewer requests.
        PutOffError: it asks for these very items later.
        DestinationUnavailableError: nothing of it was taken, and it is to be sent again later.
        DestinationRefusedError: nothing of the kind will be taken there.
    """
    status = answer.status
    if status in TAKEN or status == MULTI_STATUS:
        said = _read(answer, Receipts, url)
        if said is None and status == MULTI_STATUS:
            raise _unreadable(answer, url)
        found = {receipt.id: receipt for receipt in said.items} if said else {}
        return [_outcome(status, found.get(item.id), item, url) for item in items]
    error = _refusal(answer, url)
    if isinstance(error, DestinationUnavailableError) or not _is_about_content(status):
        raise error
    if status == TOO_LARGE:
        return [
            ItemRefusedError(
                f"{item.id} is too large for {url} ({len(item.data)} bytes): it answers 413; let "
                "it take more."
            )
            for item in items
        ]
    return [ItemRefusedError(f"{item.id} goes back with its delivery: {error}") for item in items]


def digests_of(answer: HttpAnswer, url: str, *, askable: bool) -> dict[str, str | None] | None:
    """What an endpoint has under the ids it was asked about; None: it cannot be asked.

    Args:
        answer: to a question.
        url: where it was asked.
        askable: it has answered one before, so that it can be asked.

    Raises:
        DestinationRateLimitedError: it asks for fewer requests.
        PutOffError: it asks for the question later, or it has answered one and not this one.
        DestinationUnavailableError: it is to be asked again later.
        DestinationRefusedError: it does not let us ask.
    """
    status = answer.status
    if status in TAKEN:
        said = _read(answer, KeptItems, url)
        if said is not None:
            return {item.id: item.sha256 for item in said.items}
    elif status not in _UNASKABLE:
        raise _refusal(answer, url)
    if askable:
        raise PutOffError(
            f"{url} answers {status}, and has answered the same question well before; {GOES_ON}."
        )
    return None


def _refusal(answer: HttpAnswer, url: str) -> StopeError:
    """A status that is about the whole request, as an error of ours."""
    status = answer.status
    words = shortened(answer.body[:4000].decode(errors="replace"), _LONGEST_SAYING)
    said = f"({status}): {words}" if words and not words.startswith("<") else f"({status})"
    wait = seconds_of(answer.retry_after)
    if _may_pass(status, wait):
        sentence = f"{url} takes nothing now {said}; {GOES_ON}."
        return _of_all(status)(sentence, retry_after=wait)
    if 300 <= status < 400:
        where = shortened((answer.location or "somewhere else").partition("?")[0], _LONGEST_SAYING)
        return DestinationRefusedError(
            f"{url} sends us on to {where} ({status}), and nothing that is signed goes where "
            "nobody named; upload to that address if it is the right one."
        )
    advice = _ADVICE.get(status, "it has to answer as docs/uploads.md describes")
    if _is_about_content(status):
        advice = "that is about all of what was sent at once; 207 says it of one item"
    return DestinationRefusedError(f"{url} refuses {said}; {advice}.")


def _may_pass(status: int, wait: float | None) -> bool:
    """Whether a status may be another one later.

    A 4xx stays, unless the endpoint itself asks for a later try.
    """
    return status >= 500 or status == _TOO_MANY or (status in _MAY_PASS and wait is not None)


def _of_all(status: int) -> type[DestinationUnavailableError]:
    """Whom a passing status of a whole request is about: the place, but for a conflict of keys."""
    if status == _TOO_MANY:
        return DestinationRateLimitedError
    return PutOffError if status == _CONFLICT else DestinationUnavailableError


def _is_about_content(status: int) -> bool:
    return 400 <= status < 500 and status not in _OF_THE_PLACE


def _outcome(status: int, said: ItemReceipt | None, item: Item, url: str) -> Receipt | StopeError:
    if said is None:
        if status == MULTI_STATUS:
            return DestinationUnavailableError(
                f"{url} answers {status} and says nothing of {item.id}; {GOES_ON}."
            )
        said = ItemReceipt(id=item.id, status=status)
    if 200 <= said.status < 300:
        return Receipt(
            item_id=item.id,
            digest=said.sha256 or item.digest,
            location=f"{url}#{item.id}",
            written=said.written,
            key=idempotency_key(item),
            status=said.status,
        )
    reason = shortened(said.reason or "it gives no reason", _LONGEST_SAYING)
    wait = None if said.retry_after is None else min(said.retry_after, LONGEST_WAIT)
    if _may_pass(said.status, wait):
        later = DestinationUnavailableError if said.status >= 500 else PutOffError
        sentence = f"{url} does not take {item.id} now ({said.status}): {reason}; {GOES_ON}."
        return later(sentence, retry_after=wait)
    return ItemRefusedError(f"{url} refuses {item.id} ({said.status}): {reason}")


def _read(answer: HttpAnswer, model: type[ModelT], url: str) -> ModelT | None:
    """The body as what it should be; None where it says nothing of items.

    Raises:
        DestinationRefusedError: it does, and cannot be understood; or it is a page.
    """
    try:
        body = json.loads(answer.body)
    except ValueError:
        if not _is_page(answer):
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


def _is_page(answer: HttpAnswer) -> bool:
    body = answer.body.lstrip(_BEFORE_A_PAGE)
    return body.startswith(b"<") or (bool(body) and "html" in answer.content_type.lower())


def _unreadable(answer: HttpAnswer, url: str) -> StopeError:
    return DestinationRefusedError(
        f"{url} answers {answer.status}, and what it says of the items cannot be understood; it "
        "has to answer as docs/uploads.md describes."
    )
