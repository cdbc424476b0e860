"""Signatures of deliveries, version 2: HMAC-SHA256 (RFC 2104) over what, where, when and the body.

What is signed is the timestamp (the header ``Stope-Timestamp``, seconds since 1970, UTC), the
method and the URL, each with a line break behind it, and the body. So none of them can be taken
from one request and put with another: what was sent to one endpoint says nothing to any other one
that has the same key.
"""

from __future__ import annotations

import hashlib
import hmac

METHOD = "POST"
TIMESTAMP_HEADER = "Stope-Timestamp"
SIGNATURE_HEADER = "Stope-Signature"

SCHEMA = "v2"
"""The name of what is signed: version 1 left out method and URL."""

SHORTEST_KEY = 16
"""Characters of a key: one that can be guessed signs nothing."""


def signature_of(key: bytes, timestamp: str, url: str, body: bytes) -> str:
    """What stands in ``Stope-Signature``: ``v2=`` and 64 hexadecimal digits."""
    head = f"{timestamp}\n{METHOD}\n{url}\n".encode()
    return f"{SCHEMA}={hmac.new(key, head + body, hashlib.sha256).hexdigest()}"


def signed_headers(key: bytes, url: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a request to a URL, sent at a time in seconds since 1970."""
    timestamp = str(int(now))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature_of(key, timestamp, url, body)}
