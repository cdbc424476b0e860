"""An HTTP endpoint as a destination: signed batches of JSON, and a receipt for each item.

The protocol is described in ``docs/uploads.md``; ``examples/receiver.py`` is its other side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import httpx

from stope.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    StopeError,
)
from stope.models.progress import shortened
from stope.models.upload import Item, Receipt
from stope.upload.access import is_loopback
from stope.upload.answers import TOO_LARGE, HttpAnswer, digests_of, outcomes_of
from stope.upload.batched import ItemBatches
from stope.upload.delivery import delivery_of, question_of
from stope.upload.destination import GOES_ON
from stope.upload.signing import METHOD, signed_headers

MOST_ITEMS = 50
MOST_BYTES = 512 * 1024
"""Of a delivery, before it is written as JSON; a larger item goes alone."""

LARGEST_ANSWER = 1 << 20
"""Bytes: receipts for a whole delivery take a few thousand."""

_DIRECTLY: Mapping[str, None] = {"all://": None, "http://": None, "https://": None}
"""Through no proxy that the environment names."""

_FLIGHTS = 2
_MOST_QUESTIONS = 100
_SILENCE = httpx.Timeout(60, connect=10)
_WHOLE = 180.0
"""Seconds for a request and its answer, however slowly they trickle."""


class HttpDestination:
    """An endpoint that takes deliveries.

    It is never followed elsewhere, and what it answers is read up to ``LARGEST_ANSWER``.

    Args:
        url: what uploads call it.
        address: where it is, ``https`` or ``http``.
        key: signs every request.
    """

    # Twice what can be on its way: the next batches are full when there is room for them.
    parallel = 2 * _FLIGHTS * MOST_ITEMS
    keeps_records = True

    def __init__(self, url: str, address: str, key: bytes) -> None:
        self.url = url
        self.reads_back = True
        self._has_answered = False
        self._address = address
        self._key = key
        # Bytes as they are: something small that unpacks to something huge is no use here.
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=_SILENCE,
            follow_redirects=False,
            mounts=_DIRECTLY if is_loopback(httpx.URL(address).host) else None,
        )
        self._batches = ItemBatches(
            self._deliver,
            self._digests,
            most_items=MOST_ITEMS,
            most_bytes=MOST_BYTES,
            most_ids=_MOST_QUESTIONS,
            flights=_FLIGHTS,
        )

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        return await self._batches.put(item)

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        return await self._batches.digest(item_id)

    async def close(self) -> None:
        """See ``Destination``."""
        await self._batches.close()
        await self._client.aclose()

    async def _deliver(self, items: Sequence[Item]) -> list[Receipt | StopeError]:
        answer = await self._post(self._address, delivery_of(items))
        if answer.status == TOO_LARGE and len(items) > 1:
            half = len(items) // 2
            return [*await self._deliver(items[:half]), *await self._deliver(items[half:])]
        return outcomes_of(answer, items, self._address)

    async def _digests(self, item_ids: Sequence[str]) -> list[str | StopeError | None]:
        if not self.reads_back:
            return [None for _ in item_ids]
        url = f"{self._address}/digests"
        answer = await self._post(url, question_of(item_ids))
        if answer.status == TOO_LARGE and len(item_ids) > 1:
            half = len(item_ids) // 2
            return [*await self._digests(item_ids[:half]), *await self._digests(item_ids[half:])]
        kept = digests_of(answer, url, askable=self._has_answered)
        if kept is None:
            self.reads_back = False
            return [None for _ in item_ids]
        self._has_answered = True
        return [kept.get(item_id) for item_id in item_ids]

    async def _post(self, url: str, body: bytes) -> HttpAnswer:
        headers = signed_headers(self._key, url, body, time.time())
        try:
            async with (
                asyncio.timeout(_WHOLE),
                self._client.stream(METHOD, url, content=body, headers=headers) as reply,
            ):
                return HttpAnswer(
                    status=reply.status_code,
                    body=await self._read(reply),
                    retry_after=reply.headers.get("retry-after"),
                    location=reply.headers.get("location"),
                    content_type=reply.headers.get("content-type", ""),
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise DestinationUnavailableError(
                f"{self._address} takes too long to answer; {GOES_ON}."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._error(error) from error

    async def _read(self, reply: httpx.Response) -> bytes:
        body = bytearray()
        async for part in reply.aiter_raw():
            body += part
            if len(body) > LARGEST_ANSWER:
                raise DestinationRefusedError(
                    f"{self._address} answers with more than {LARGEST_ANSWER} bytes, which no "
                    "receipts take; check the address."
                )
        return bytes(body)

    def _error(self, error: Exception) -> StopeError:
        said = shortened(str(error) or type(error).__name__, 200)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return DestinationRefusedError(
                f"{self._address} cannot prove who it is ({said}); mend its certificate, or name "
                "your own authority with SSL_CERT_FILE."
            )
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
            return DestinationRefusedError(f"{self._address} cannot be an address: {said}.")
        return DestinationUnavailableError(
            f"{self._address} cannot be reached ({said}); {GOES_ON}."
        )
