"""Where an input is: a path, or a URL; and what of it may be shown and kept."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from stope.errors import UsageError
from stope.objects.address import without_secrets

_SCHEMES = ("s3", "gs", "https", "http")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")


def is_remote(location: str) -> bool:
    """Whether an input is given by a URL that is read over a network."""
    found = _URL.match(location)
    return bool(found) and location[: found.end(1) if found else 0].lower() in _SCHEMES


def shown(location: str) -> str:
    """A location for messages and records: a URL without its query, which may be a signature."""
    return without_secrets(location) if is_remote(location) else location


def checked_url(location: str) -> SplitResult:
    """The parts of an input's URL.

    Raises:
        UsageError: it cannot be one; the message does not repeat what may be secret.
    """
    seen = shown(location)
    try:
        parsed = urlsplit(location)
        user = parsed.username is not None or parsed.password is not None
        host = parsed.hostname
    except ValueError as error:
        raise UsageError(f"{seen} is not a URL ({error}); correct it.") from None
    if not host or not location.lower().startswith(f"{parsed.scheme}://"):
        raise UsageError(
            f"{seen} names no {'bucket' if parsed.scheme in ('s3', 'gs') else 'host'}; write "
            f"{parsed.scheme}:// and quote the URL."
        )
    if user:
        raise UsageError(
            f"The URL {seen} holds a user or password; leave it out. A signed URL (with a query) "
            "or s3:// and gs:// with credentials in their usual places can be read."
        )
    if parsed.path in ("", "/"):
        raise UsageError(f"{seen} names no file; write the whole URL.")
    if parsed.scheme == "http" and not is_loopback(host):
        raise UsageError(
            f"{seen} is not encrypted: anybody on the way could change what is read. Use https://."
        )
    if parsed.scheme in ("s3", "gs") and (parsed.query or parsed.fragment):
        raise UsageError(f"{seen}: an object's URL has no '?' and no '#'; write the key as it is.")
    return parsed


def is_loopback(host: str) -> bool:
    """Whether a host's name is this machine's own, without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
