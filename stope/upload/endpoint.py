"""An HTTP endpoint as a destination: signed batches of JSON, and a receipt for each item.

The protocol is described in ``docs/uploads.md``; ``examples/receiver.py`` is its other side.
"""

from __future__ import annotations

import asyncio
import ipaddress
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
from stope.upload.answers import TOO_LARGE, HttpAnswer, Later, digests_of, outcomes_of
from stope.upload.batching import Batcher
from stope.upload.delivery import delivery_of, question_of
from stope.upload.destination import checked_id
from stope.upload.signing import signed_headers

MOST_ITEMS = 50
MOST_BYTES = 512 * 1024
"""Of a delivery, before it is written as JSON; a larger item goes alone."""

LARGEST_ANSWER = 1 << 20
"""Bytes: receipts for a whole delivery take a few thousand."""

PATIENCE = (0.5, 1.0, 2.0)
"""Seconds before an item that was put off is sent again, while the others go on."""

LONGEST_PATIENCE = 10.0
"""An item that is put off for longer than this waits with the whole upload."""

_DIRECTLY: Mapping[str, None] = {"all://": None, "http://": None, "https://": None}
"""Through no proxy that the environment names."""

_FLIGHTS = 2
_MOST_QUESTIONS = 500
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
        self._deliveries = Batcher[Item, Receipt | Later](
            self._deliver,
            name=lambda item: item.id,
            size=lambda item: len(item.data),
            most=MOST_ITEMS,
            most_bytes=MOST_BYTES,
            flights=_FLIGHTS,
        )
        self._questions = Batcher[str, str | None](
            self._digests, name=str, most=_MOST_QUESTIONS, flights=1
        )

    async def put(self, item: Item) -> Receipt:
        """See ``Destination``."""
        checked_id(item.id)
        outcome = await self._deliveries.ask(item)
        for pause in PATIENCE:
            if isinstance(outcome, Receipt):
                break
            wait = pause if outcome.seconds is None else outcome.seconds
            if wait > LONGEST_PATIENCE:
                break
            await asyncio.sleep(wait)
            outcome = await self._deliveries.ask(item)
        if isinstance(outcome, Receipt):
            return outcome
        raise DestinationUnavailableError(
            f"{outcome.reason}; the upload goes on with it later.", retry_after=outcome.seconds
        )

    async def digest(self, item_id: str) -> str | None:
        """See ``Destination``."""
        checked_id(item_id)
        return await self._questions.ask(item_id) if self.reads_back else None

    async def close(self) -> None:
        """See ``Destination``."""
        await self._deliveries.close()
        await self._questions.close()
        await self._client.aclose()

    async def _deliver(self, items: Sequence[Item]) -> list[Receipt | Later | StopeError]:
        answer = await self._post(self._address, delivery_of(items))
        if answer.status == TOO_LARGE and len(items) > 1:
            half = len(items) // 2
            return [*await self._deliver(items[:half]), *await self._deliver(items[half:])]
        return outcomes_of(answer, items, self._address)

    async def _digests(self, item_ids: Sequence[str]) -> list[str | StopeError | None]:
        if not self.reads_back:
            return [None for _ in item_ids]
        answer = await self._post(f"{self._address}/digests", question_of(item_ids))
        kept = digests_of(answer, self._address)
        if kept is None:
            self.reads_back = False
            return [None for _ in item_ids]
        return [kept.get(item_id) for item_id in item_ids]

    async def _post(self, address: str, body: bytes) -> HttpAnswer:
        headers = signed_headers(self._key, body, time.time())
        try:
            async with (
                asyncio.timeout(_WHOLE),
                self._client.stream("POST", address, content=body, headers=headers) as reply,
            ):
                return HttpAnswer(
                    status=reply.status_code,
                    body=await self._read(reply),
                    retry_after=reply.headers.get("retry-after"),
                    location=reply.headers.get("location"),
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise DestinationUnavailableError(
                f"{self._address} takes too long to answer; the upload goes on when it does."
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
            f"{self._address} cannot be reached ({said}); the upload goes on when it can."
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, whose traffic nobody else sees."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
