"""Signatures of deliveries: HMAC-SHA256 (RFC 2104) over the time and the body.

What is signed is the header ``Stope-Timestamp`` (seconds since 1970, UTC), a dot, and the body, so
that neither can be taken from one delivery and put with another.
"""

from __future__ import annotations

import hashlib
import hmac

TIMESTAMP_HEADER = "Stope-Timestamp"
SIGNATURE_HEADER = "Stope-Signature"

SHORTEST_KEY = 16
"""Characters of a key: one that can be guessed signs nothing."""


def signature_of(key: bytes, timestamp: str, body: bytes) -> str:
    """What stands in ``Stope-Signature``: ``sha256=`` and 64 hexadecimal digits."""
    signed = hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def signed_headers(key: bytes, body: bytes, now: float) -> dict[str, str]:
    """The headers of a request with a body, sent at a time in seconds since 1970."""
    timestamp = str(int(now))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature_of(key, timestamp, body)}
